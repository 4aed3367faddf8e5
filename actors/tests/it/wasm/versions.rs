//! Versions of WASI: every 0.2 release that there is works, also mixed; what is no release of 0.2 loads, and says so when it
//! is used.

use std::sync::Arc;

use greenroom_actors::{
    ErrorKind,
    spec::{Capabilities, Capability, Source, WasmSpec},
};
use serde_json::json;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{
    Resolve, WorldId, WorldItem,
    abi::{AbiVariant, WasmType},
};

use super::{fixture::*, prober::prepared};

/// Releases of WASI 0.2, and some that are still to come.
const VERSIONS: [&str; 16] = [
    "0.2.0", "0.2.1", "0.2.2", "0.2.3", "0.2.4", "0.2.5", "0.2.6", "0.2.7", "0.2.8", "0.2.9", "0.2.10", "0.2.11",
    "0.2.12", "0.2.13", "0.2.20", "0.2.99",
];

/// The groups' packages as the prober was made with them.
const PACKAGES: [&str; 5] = ["io", "clocks", "random", "cli", "filesystem"];

/// Interfaces of each package.
const INTERFACES: [(&str, &[&str]); 5] = [
    ("io", &["error", "poll", "streams"]),
    ("clocks", &["wall-clock", "monotonic-clock"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("filesystem", &["types", "preopens"]),
];

/// A component that imports all functions of these interfaces, and calls none.
fn component(version_of: impl Fn(&str) -> String, imports: &[(&str, &str)]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        let path = format!("{}/../registry-examples/guests/prober/wit/deps/{package}.wit", env!("CARGO_MANIFEST_DIR"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        for other in PACKAGES {
            let version = version_of(other);
            for (wasi, name) in INTERFACES
                .iter()
                .find(|(name, _)| *name == other)
                .into_iter()
                .flat_map(|(_, all)| all.iter().map(move |name| (other, name)))
            {
                text = text.replace(&format!("wasi:{wasi}/{name}@0.2.12"), &format!("wasi:{wasi}/{name}@{version}"));
            }
            text = text.replace(&format!("package wasi:{other}@0.2.12"), &format!("package wasi:{other}@{version}"));
        }
        // It came with this version.
        if !["0.2.12", "0.2.13", "0.2.20", "0.2.99"].contains(&version_of("cli").as_str()) {
            text = text.replace("exit-with-code: func(status-code: u8);", "");
        }
        resolve.push_str(&path, &text).unwrap_or_else(|error| panic!("{path}: {error:?}"));
    }
    let imports: String = imports
        .iter()
        .map(|(package, interface)| format!("import wasi:{package}/{interface}@{};", version_of(package)))
        .collect();
    let world = format!("package test:all; world all {{ {imports} export f: func(); }}");
    let package = resolve.push_str("world.wit", &world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat(&importing(&resolve, world));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// A core module that imports every function of a world, and uses none.
fn importing(resolve: &Resolve, world: WorldId) -> String {
    let list = |of: &str, types: &[WasmType]| {
        let name = |ty: &WasmType| match ty {
            WasmType::I64 | WasmType::PointerOrI64 => " i64",
            WasmType::F32 => " f32",
            WasmType::F64 => " f64",
            WasmType::I32 | WasmType::Pointer | WasmType::Length => " i32",
        };
        let types: String = types.iter().map(name).collect();
        if types.is_empty() { types } else { format!("({of}{types})") }
    };
    let mut imports = String::new();
    for (key, item) in &resolve.worlds[world].imports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.name_world_key(key);
        for function in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
            let (params, results) = (list("param", &signature.params), list("result", &signature.results));
            imports += &format!("(import \"{interface}\" \"{}\" (func {params} {results}))", function.name);
        }
    }
    format!(
        r#"(module {imports} (memory (export "memory") 1) (func (export "f") unreachable)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    )
}

fn everything() -> Vec<(&'static str, &'static str)> {
    INTERFACES.iter().flat_map(|(package, all)| all.iter().map(|interface| (*package, *interface))).collect()
}

fn granting(component: Vec<u8>, groups: &[Capability]) -> WasmSpec {
    let mut spec = spec(Source::Bytes(Arc::from(component)), "f");
    spec.imports = groups.iter().copied().collect();
    spec
}

const GRANTED: [Capability; 4] = [Capability::Cli, Capability::Clocks, Capability::Filesystem, Capability::Random];

#[test]
fn every_interface_of_every_version_is_linked_when_it_is_granted() {
    for version in VERSIONS {
        let spec = granting(component(|_| version.to_owned(), &everything()), &GRANTED);
        let prepared = prepared(&spec);
        assert!(prepared.warnings.is_empty(), "{version}: {:?}", prepared.warnings);
        // Its code is one trap, which is reached when the instance could be made.
        assert_eq!(call(&prepared, json!([])).unwrap_err().kind(), ErrorKind::Internal, "{version}");
    }
}

#[test]
fn every_interface_of_every_version_loads_without_a_grant() {
    for version in VERSIONS {
        let prepared = prepared(&granting(component(|_| version.to_owned(), &everything()), &[]));
        let all = "to grant it, write `imports: [wasi:cli, wasi:clocks, wasi:filesystem, wasi:random]`";
        assert_eq!(prepared.warnings.iter().flat_map(|warning| &warning.notes).collect::<Vec<_>>(), [all], "{version}");
        assert_eq!(call(&prepared, json!([])).unwrap_err().kind(), ErrorKind::Internal, "{version}");
    }
}

#[test]
fn versions_may_be_mixed() {
    let mixed = |package: &str| match package {
        "io" => "0.2.12",
        "clocks" => "0.2.0",
        "filesystem" => "0.2.4",
        "cli" => "0.2.3",
        _ => "0.2.10",
    };
    for granted in [&GRANTED[..], &[Capability::Filesystem], &[Capability::Cli, Capability::Random], &[]] {
        let prepared = prepared(&granting(component(|package| mixed(package).to_owned(), &everything()), granted));
        assert_eq!(call(&prepared, json!([])).unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[test]
fn an_interface_is_granted_by_its_group_and_by_no_other() {
    for (package, interfaces) in INTERFACES {
        let group: Capability = format!("wasi:{package}").parse().unwrap();
        for interface in interfaces {
            let component = component(|_| "0.2.6".to_owned(), &[(package, interface)]);
            let warnings = |groups: Capabilities| {
                let mut spec = granting(component.clone(), &[]);
                spec.imports = groups;
                prepared(&spec).warnings
            };
            let all: Capabilities = Capability::ALL.into_iter().collect();
            let others = Capability::ALL.into_iter().filter(|other| *other != group).collect();
            assert!(warnings(all).is_empty());
            // Streams and polls carry no capability; terminals are resources without functions; a list of no mounts is
            // no use of a file.
            let harmless = package == "io" || ["terminal-input", "terminal-output", "preopens"].contains(interface);
            // What is imported for its types brings interfaces of other packages with it.
            let missing = warnings(others);
            let named = missing.iter().any(|warning| warning.message.contains(&format!("imports {group}, which")));
            assert!(named || harmless, "{package}/{interface}: {missing:?}");
        }
    }
}

/// Calls a function that takes nothing and gives a number.
fn calls(interface: &str, function: &str) -> String {
    format!(
        r#"(component
          (import "{interface}" (instance $host (export "{function}" (func (result u64)))))
          (core func $f (canon lower (func $host "{function}")))
          (core module $m
            (import "host" "f" (func $f (result i64)))
            (func (export "use") (result i64) (call $f)))
          (core instance $i (instantiate $m (with "host" (instance (export "f" (func $f))))))
          (func (export "use") (result u64) (canon lift (core func $i "use"))))"#
    )
}

#[test]
fn what_is_linked_works_in_every_version() {
    for version in VERSIONS {
        for (interface, function) in [
            ("wasi:clocks/monotonic-clock", "now"),
            ("wasi:clocks/monotonic-clock", "resolution"),
            ("wasi:random/random", "get-random-u64"),
            ("wasi:random/insecure", "get-insecure-random-u64"),
        ] {
            let import = format!("{interface}@{version}");
            let mut spec = text(&calls(&import, function), "use");
            let denied = call(&prepared(&spec), json!([])).unwrap_err();
            assert!(denied.message().contains(&format!("used `{import}`, which its entry does not grant")), "{denied}");
            spec.imports = GRANTED.into_iter().collect();
            assert!(call(&prepared(&spec), json!([])).is_ok(), "{import}");
        }
    }
}

#[test]
fn what_is_no_release_of_0_2_loads_and_says_so_when_it_is_used() {
    for import in [
        "wasi:clocks/monotonic-clock",
        "wasi:clocks/monotonic-clock@0.1.0",
        "wasi:clocks/monotonic-clock@0.2.0-rc-2023-11-10",
        "wasi:clocks/monotonic-clock@0.2.0-rc-2023-12-05",
        "wasi:clocks/monotonic-clock@0.4.0",
        "wasi:clocks/monotonic-clock@0.3.0-rc-2025-08-15",
        "wasi:clocks/monotonic-clock@1.0.0",
        "wasi:clocks/sundial@0.2.0",
        "wasi:cli/oracle@0.2.0",
    ] {
        let mut spec = text(&calls(import, "now"), "use");
        for granted in [&[][..], &GRANTED] {
            spec.imports = granted.iter().copied().collect();
            let prepared = prepared(&spec);
            assert_eq!(prepared.warnings.len(), 1);
            assert!(prepared.warnings[0].message.contains("which this version does not provide"), "{import}");
            let error = call(&prepared, json!([])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_eq!(
                error.message(),
                format!("function `app:f` used `{import}`, which this version does not provide")
            );
        }
    }
}

#[test]
fn a_function_that_its_interface_does_not_have_is_an_error_that_names_both() {
    let mut spec = text(&calls("wasi:clocks/monotonic-clock@0.2.99", "moonrise"), "use");
    spec.imports = GRANTED.into_iter().collect();
    let error = super::prober::try_prepare(&spec).unwrap_err().remove(0);
    assert_eq!(error.field, "imports");
    assert!(error.message.contains("wasi:clocks/monotonic-clock") && error.message.contains("moonrise"), "{error}");
}
