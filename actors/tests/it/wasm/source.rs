//! What is checked about the bytes of a function before anything is compiled.

use std::{fs, path::Path};

use greenroom_actors::{
    ErrorKind,
    spec::{Limits, Source, WasmSpec},
};

use super::fixture::*;

const MODULE: &str = r#"(module (func (export "f") (result i32) i32.const 1))"#;

fn bytes(bytes: impl AsRef<[u8]>) -> WasmSpec {
    spec(Source::Bytes(bytes.as_ref().into()), "f")
}

fn file(directory: &Path, path: &str) -> WasmSpec {
    spec(Source::File { directory: directory.to_owned(), path: path.to_owned() }, "f")
}

#[test]
fn a_wrong_hash_is_met_before_anything_is_compiled() {
    let mut garbage = bytes("neither WebAssembly nor anything else");
    garbage.sha256 = Some([0xab; 32]);
    let error = refused(&garbage);
    assert_eq!((error.field, error.message.as_str()), ("hash", "the hash does not match the file"));
    assert_eq!(error.notes[0], format!("expected sha256:{}", "ab".repeat(32)));
    assert!(error.notes[1].starts_with("found    sha256:") && error.notes[1].len() == 16 + 64, "{:?}", error.notes);
}

#[test]
fn a_file_is_found_below_its_directory_with_and_without_a_slash() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("sub/f.wasm"), wat(MODULE)).unwrap();
    fs::write(directory.path().join("f.wat"), MODULE).unwrap();
    for path in ["/sub/f.wasm", "sub/f.wasm", "f.wat"] {
        assert_eq!(call(&prepare(&file(directory.path(), path)), serde_json::json!([])).unwrap(), 1);
    }
}

#[test]
fn a_path_cannot_leave_its_directory() {
    let outer = tempfile::tempdir().unwrap();
    let directory = outer.path().join("inner");
    fs::create_dir(&directory).unwrap();
    fs::write(outer.path().join("f.wasm"), wat(MODULE)).unwrap();

    let error = refused(&file(&directory, "/../f.wasm"));
    assert_eq!((error.field, error.kind), ("path", ErrorKind::Invalid));
    assert!(error.message.contains("leaves its directory"), "{error}");

    std::os::unix::fs::symlink(outer.path().join("f.wasm"), directory.join("absolute.wasm")).unwrap();
    std::os::unix::fs::symlink("../f.wasm", directory.join("relative.wasm")).unwrap();
    std::os::unix::fs::symlink("..", directory.join("up")).unwrap();
    for path in ["absolute.wasm", "relative.wasm", "up/f.wasm"] {
        let error = refused(&file(&directory, path));
        assert_eq!((error.field, error.kind), ("path", ErrorKind::PermissionDenied), "{path}: {error}");
    }
}

#[test]
fn a_missing_file_or_directory_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let error = refused(&file(directory.path(), "/none.wasm"));
    assert_eq!((error.field, error.kind), ("path", ErrorKind::NotFound));
    assert!(error.message.starts_with("there is no file `/none.wasm` in "), "{error}");
    assert_eq!(refused(&file(&directory.path().join("none"), "f.wasm")).kind, ErrorKind::NotFound);
    assert!(refused(&file(directory.path(), "/")).message.contains("empty"));
    fs::create_dir(directory.path().join("f.wasm")).unwrap();
    assert!(refused(&file(directory.path(), "f.wasm")).message.contains("it is a directory"));
}

#[test]
fn what_is_larger_than_allowed_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    // A file with a hole: reading it would take 64 GiB.
    fs::File::create(directory.path().join("f.wasm")).unwrap().set_len(64 << 30).unwrap();
    let error = refused(&file(directory.path(), "f.wasm"));
    assert_eq!(error.field, "limits.max_module_bytes");
    assert!(error.message.contains("68719476736 bytes, and 268435456 are allowed"), "{error}");

    let module = wat(MODULE);
    let limits = |max| Limits { max_module_bytes: max, ..Limits::default() };
    let size = module.len() as u64;
    assert!(engine().prepare(&id(), &bytes(&module), &limits(size)).is_ok());
    let errors = engine().prepare(&id(), &bytes(&module), &limits(size - 1)).unwrap_err();
    assert_eq!(errors[0].field, "limits.max_module_bytes");
}

#[test]
fn what_is_no_webassembly_is_told_in_plain_words() {
    let module = wat(MODULE);
    for (what, bytes, expected) in [
        ("nothing", &b""[..], "the code is empty"),
        ("a picture", b"\x89PNG\r\n", "this is not WebAssembly"),
        ("machine code", b"\x7fELF\x02\x01\x01", "precompiled machine code, which is never loaded"),
        ("a header alone", &module[..6], "cut off"),
        ("half a module", &module[..module.len() - 3], "the file may be cut off"),
        ("a version of the future", b"\0asm\x02\0\0\0", "unknown version"),
        ("text with bad bytes", b"(module \xff)", "not UTF-8, from byte 8"),
    ] {
        let error = refused(&self::bytes(bytes));
        assert!(error.message.contains(expected), "{what}: {error}");
        assert_eq!((error.field, error.kind), ("source", ErrorKind::Invalid), "{what}");
    }
    let component = wat(r#"(component (core module (func (export "f"))))"#);
    let error = refused(&self::bytes(&component[..component.len() - 3]));
    assert!(error.message.contains("the file may be cut off"), "{error}");
}

#[test]
fn precompiled_code_is_refused_even_when_it_is_ours() {
    let engine = wasmtime::Engine::default();
    let precompiled = engine.precompile_component(&wat("(component)")).unwrap();
    assert!(refused(&bytes(precompiled)).message.contains("precompiled"));
}

#[test]
fn an_error_in_text_shows_its_line() {
    let error = refused(&text("(module\n  (func (export \"f\")\n    i32.cons 1))", "f"));
    assert_eq!(error.field, "source");
    assert!(error.message.starts_with("the WebAssembly text does not parse: unknown operator"), "{error}");
    let notes = error.notes.join("\n");
    assert!(notes.contains("the text:3:5") && notes.contains("i32.cons 1"), "{notes}");
}

#[test]
fn an_invalid_module_names_the_place() {
    let error = refused(&text(r#"(module (func (export "f") (result i32)))"#, "f"));
    assert!(error.message.starts_with("the module is not valid WebAssembly: type mismatch"), "{error}");
    assert!(error.message.contains("(at byte "), "{error}");
}
