//! Hides from a module the memory that the preview 1 adapter takes before the module has looked.
//!
//! The adapter grows the module's memory by pages for its stack and its state: before the module's functions run, and
//! at the first calls of its own. Allocators that take all from the end of the module's data to `memory.size` for their
//! heap, as C's library of WASI did until the end of 2022, take these pages along, and what the guest then allocates
//! overwrites the adapter. Nothing of this happens where a host implements preview 1 itself, so that such modules are
//! right and have to work.
//!
//! The module's `memory.size` and `memory.grow` become calls of functions that are appended to it (`resize`). When the memory
//! has grown before the module first asked for its size, it hears the size that it declares, until it grows its memory
//! itself. In all other cases the answers are the true ones, and what `memory.grow` gives always is: allocators that add
//! to their heap what growing gave them are right without help, and so they stay.
//!
//! What cannot be helped from here: an allocator that takes for granted that memory grows without a gap, or only where
//! it looked at its size before; the adapter's pages lie in that gap.

use std::borrow::Cow;

use wasm_encoder::{BlockType, Function, ValType, reencode::Error};
use wasmparser::Operator;

use crate::wasm::resize::{Shape, StandIns};

/// The module with its first look at its memory's size made independent of the adapter; the same bytes when it never
/// looks, or when its memory is not a plain one of its own.
///
/// # Errors
/// When the bytes are no valid module.
pub(super) fn with_own_size(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let shape = Shape::read(bytes)?;
    let Some((memory, declared)) = own_size(&shape) else { return Ok(Cow::Borrowed(bytes)) };
    if !shape.any(|op| matches!(op, Operator::MemorySize { mem } if *mem == memory))? {
        return Ok(Cow::Borrowed(bytes));
    }
    let stand_ins = StandIns {
        memory,
        // 1 once the module is to see the true size.
        global: 0,
        minimum: None,
        size: size_body(&shape, memory, declared),
        grow: grow_body(&shape, memory),
    };
    Ok(Cow::Owned(shape.rewritten(stand_ins)?))
}

/// The memory that the adapter uses, and the pages that it has at first; none when it is no plain one of the module's.
fn own_size(shape: &Shape<'_>) -> Option<(u32, i32)> {
    // An imported memory is another's, and so is what is known of its size.
    let memory = shape.exported?;
    let ty = shape.own_memory(memory)?;
    let declared = i32::try_from(ty.initial).ok()?;
    (!ty.memory64 && !ty.shared).then_some((memory, declared))
}

/// The size that is true, from when the module has found it to be what it declares; else what it declares.
fn size_body(shape: &Shape<'_>, memory: u32, declared: i32) -> Function {
    let sees = shape.global();
    let mut body = Function::new([]);
    let mut code = body.instructions();
    code.memory_size(memory).i32_const(declared).i32_eq();
    code.global_get(sees).i32_or().global_set(sees);
    code.memory_size(memory).i32_const(declared).global_get(sees).select();
    code.end();
    body
}

/// Grows, and lets the true size be seen when that went well. Growing by nothing only asks for the size.
fn grow_body(shape: &Shape<'_>, memory: u32) -> Function {
    let sees = shape.global();
    let mut body = Function::new([(1, ValType::I32)]);
    let mut code = body.instructions();
    code.local_get(0).i32_eqz().if_(BlockType::Result(ValType::I32)).call(shape.size_func()).else_();
    code.local_get(0).memory_grow(memory).local_tee(1).i32_const(-1).i32_ne();
    code.global_get(sees).i32_or().global_set(sees).local_get(1);
    code.end().end();
    body
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use wasmparser::{Parser, Payload, Validator, WasmFeatures};

    use super::*;

    fn rewritten(module: &[u8]) -> Option<Vec<u8>> {
        match with_own_size(module).unwrap() {
            Cow::Borrowed(same) => {
                assert_eq!(same, module);
                None
            }
            Cow::Owned(bytes) => {
                Validator::new_with_features(WasmFeatures::all()).validate_all(&bytes).unwrap();
                Some(bytes)
            }
        }
    }

    fn of_text(text: &str) -> Option<Vec<u8>> {
        rewritten(&wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// The operators that look at or grow the memory, outside of what is appended; and all other operators.
    fn operators(module: &[u8], appended: usize) -> (usize, usize) {
        let mut bodies: Vec<_> = Parser::new(0)
            .parse_all(module)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            })
            .collect();
        bodies.truncate(bodies.len() - appended);
        let ops = bodies.iter().flat_map(|body| body.get_operators_reader().unwrap().into_iter());
        ops.fold((0, 0), |(sizes, others), op| match op.unwrap() {
            Operator::MemorySize { mem: 0 } | Operator::MemoryGrow { mem: 0 } => (sizes + 1, others),
            _ => (sizes, others + 1),
        })
    }

    #[test]
    fn what_never_looks_or_has_no_plain_memory_of_its_own_stays_as_it_is() {
        for text in [
            "(module)",
            "(module (func (export \"_start\")))",
            "(module (memory (export \"memory\") 1))",
            "(module (memory (export \"memory\") 1) (func (result i32) (memory.grow (i32.const 1))))",
            "(module (memory (export \"memory\") 1) (memory 1) (func (result i32) memory.size 1))",
            "(module (memory 1) (func (result i32) memory.size))",
            "(module (import \"env\" \"memory\" (memory 1)) (export \"memory\" (memory 0)) (func (result i32) memory.size))",
            "(module (memory (export \"memory\") i64 1) (func (result i64) memory.size))",
            "(module (memory (export \"memory\") 1 2 shared) (func (result i32) memory.size))",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_appended_takes_its_place_among_whatever_sections_there_are() {
        const LOOKS: &str = "(func $looks (result i32) (drop (memory.grow (i32.const 1))) memory.size)";
        for sections in [
            "",
            "(export \"looks\" (func $looks))",
            "(func $begin) (start $begin)",
            "(table 1 funcref) (elem (i32.const 0) $looks)",
            "(data $passive \"some\") (func (data.drop $passive))",
            "(data (i32.const 8) \"active\")",
            "(global $g (mut i32) (i32.const 7)) (func (export \"g\") (result i32) (global.get $g))",
            "(tag $t (param i32)) (func (throw $t (i32.const 1)))",
            "(type $pair (struct (field i32 i64))) (rec (type $a (struct (field (ref null $b)))) (type $b (array i8)))
             (func (result (ref $pair)) (struct.new_default $pair))",
            "(func (param i32) (result i32) (i32.atomic.load (local.get 0)))",
            "(func (block $b (try_table (catch_all $b) (call $looks) drop)))",
            "(func (param v128) (result v128) (i8x16.popcnt (local.get 0)))",
            "(@custom \"mine\" \"bytes\") (@custom \"name\" \"broken\")",
        ] {
            for imports in [
                "",
                "(import \"wasi_snapshot_preview1\" \"sched_yield\" (func $yield (result i32)))
                 (import \"env\" \"base\" (global i32)) (import \"env\" \"table\" (table 1 funcref))",
            ] {
                let text = format!("(module {imports} (memory (export \"memory\") 0 9) {LOOKS} {sections})");
                let before = wat::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                let after = rewritten(&before).unwrap_or_else(|| panic!("{text}"));
                let (looks, others) = operators(&before, 0);
                assert_eq!(operators(&after, 2), (0, looks + others), "{text}");
            }
        }
    }

    #[test]
    fn names_are_kept_and_addresses_of_code_are_not() {
        let custom = |bytes: &[u8]| -> Vec<(String, Vec<u8>)> {
            let sections = Parser::new(0).parse_all(bytes).filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
                _ => None,
            });
            sections.collect()
        };
        let text = "(module $named (memory (export \"memory\") 1) (func $size (result i32) memory.size)
          (@custom \".debug_line\" \"addresses\") (@custom \"producers\" \"\\00\"))";
        let before = custom(&wat::parse_str(text).unwrap());
        let after = custom(&of_text(text).unwrap());
        assert_eq!(before.len(), 3);
        assert_eq!(after, before.into_iter().filter(|(name, _)| name != ".debug_line").collect::<Vec<_>>());
    }

    /// All modules of the folder, and those within its components.
    fn modules_in(folder: &Path, found: &mut Vec<Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                modules_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "wasm") {
                let bytes = fs::read(&path).unwrap();
                if Parser::is_core_wasm(&bytes) {
                    found.push(bytes);
                    continue;
                }
                for payload in Parser::new(0).parse_all(&bytes) {
                    if let Payload::ModuleSection { unchecked_range, .. } = payload.unwrap() {
                        found.push(bytes[unchecked_range].to_vec());
                    }
                }
            }
        }
    }

    #[test]
    fn what_toolchains_make_stays_valid_and_loses_no_instruction() {
        let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut modules = Vec::new();
        modules_in(&crate_root.join("tests/guests"), &mut modules);
        modules_in(&crate_root.join("../registry-examples"), &mut modules);
        let mut rewritten_count = 0;
        for before in &modules {
            if let Some(after) = rewritten(before) {
                let (looks, others) = operators(before, 0);
                assert_eq!(operators(&after, 2), (0, looks + others));
                rewritten_count += 1;
            }
        }
        assert!(rewritten_count >= 5, "{rewritten_count} of {}", modules.len());
    }
}
