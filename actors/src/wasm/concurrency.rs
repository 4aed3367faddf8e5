//! Tells which components need an engine whose guests may do several things at once: those of WASI 0.3, and others with
//! functions, streams or futures that are async.
//!
//! They are told by their types, before anything is compiled: other components do not bear what such an engine costs.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// Whether a component needs it. What is no sound component does not: the compiler says what is wrong with it.
pub(super) fn is_needed(component: &[u8]) -> bool {
    let features = WasmFeatures::default().union(WasmFeatures::CM_ASYNC);
    let is_sound = |features| has_sound_types(component, features);
    names_wasi_0_3(component) || !is_sound(features.difference(WasmFeatures::CM_ASYNC)) && is_sound(features)
}

/// Whether everything but the code of functions is as these features have it.
fn has_sound_types(component: &[u8], features: WasmFeatures) -> bool {
    let mut validator = Validator::new_with_features(features);
    Parser::new(0).parse_all(component).all(|payload| payload.is_ok_and(|payload| validator.payload(&payload).is_ok()))
}

fn names_wasi_0_3(component: &[u8]) -> bool {
    let is_named = |name: &str| name.starts_with("wasi:") && name.contains("@0.3.");
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentImportSection(imports)) if depth == 0 => {
                if imports.into_iter().flatten().any(|import| is_named(import.name.name)) {
                    return true;
                }
            }
            Ok(Payload::ComponentExportSection(exports)) if depth == 0 => {
                if exports.into_iter().flatten().any(|export| is_named(export.name.name)) {
                    return true;
                }
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> bool {
        is_needed(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn async_types_and_wasi_0_3_need_an_engine_of_their_own() {
        assert!(needs(r#"(component (type (func async (result u32))))"#));
        assert!(needs(r#"(component (type (stream u8)))"#));
        assert!(needs(r#"(component (import "wasi:random/random@0.3.0" (instance)))"#));
        assert!(needs(r#"(component (instance $i) (export "wasi:random/random@0.3.1" (instance $i)))"#));
        assert!(!needs(r#"(component (import "wasi:random/random@0.2.3" (instance)))"#));
        assert!(!needs(r#"(component (import "test:random/random@0.3.0" (instance)))"#));
        assert!(!needs(r#"(component (component (import "wasi:random/random@0.3.0" (instance))))"#));
        assert!(!is_needed(b"\0asm\x0d\0\x01\0 and no more"));
    }
}
