//! Reads the bytes of a function, checks their size and hash, and tells what they are. Compiles nothing.

use std::io::Read as _;

use super::{
    cache::{Hash, hash},
    error::PrepareError,
};
use crate::{
    call::ErrorKind,
    spec::{Source, WasmSpec},
};

/// The binary form of a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    /// A core module, which is wrapped before it is compiled.
    Module(Vec<u8>),
    /// A component, which is compiled as it is, and its hash.
    Component(Vec<u8>, Hash),
}

/// Reads a source to its end, within the bound, and checks the hash on these very bytes before they are looked at.
pub(crate) fn read(spec: &WasmSpec, bytes_max: u64) -> Result<Binary, PrepareError> {
    let field = field(&spec.source);
    let (bytes, is_text) = match &spec.source {
        Source::Text(text) => (text.as_bytes().to_vec(), true),
        Source::Bytes(bytes) => (bytes.to_vec(), false),
        Source::File { directory, path } => (read_file(directory, path, bytes_max)?, path.ends_with(".wat")),
    };
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes.len() as u64, bytes_max));
    }
    if let Some(expected) = &spec.sha256 {
        check_hash(&bytes, expected)?;
    }
    classify(bytes, spec.sha256, is_text, field)
}

/// The field of a registry file that names the source.
pub(crate) fn field(source: &Source) -> &'static str {
    match source {
        Source::Text(_) | Source::Bytes(_) => "source",
        Source::File { .. } => "path",
    }
}

/// What to add to an error about bytes that end before their headers say.
pub(super) fn cut_off_hint(message: &str) -> &'static str {
    let is_cut = message.contains("unexpected end") || message.contains("is out of bounds (bound");
    if is_cut { "; the file may be cut off" } else { "" }
}

fn read_file(directory: &std::path::Path, path: &str, bytes_max: u64) -> Result<Vec<u8>, PrepareError> {
    let refused = |kind, message: String| PrepareError::new("path", kind, message);
    let relative = path.trim_start_matches('/');
    if relative.is_empty() {
        return Err(refused(ErrorKind::Invalid, "`path` is empty; it names a file below the directory".to_owned()));
    }
    if relative.split('/').any(|part| part == "..") {
        return Err(refused(
            ErrorKind::Invalid,
            format!("`{path}` leaves its directory; a path has no `..`, and starts at the directory's root"),
        ));
    }
    let root = cap_std::fs::Dir::open_ambient_dir(directory, cap_std::ambient_authority()).map_err(|error| {
        refused(ErrorKind::NotFound, format!("the directory {} cannot be opened: {error}", directory.display()))
    })?;
    let open = || -> std::io::Result<(cap_std::fs::File, u64)> {
        let file = root.open(relative)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory"));
        }
        Ok((file, metadata.len()))
    };
    let (file, size) = open().map_err(|error| {
        let place = directory.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                refused(ErrorKind::NotFound, format!("there is no file `{path}` in {place}"))
            }
            // What cap-std says when a symbolic link leads out.
            std::io::ErrorKind::PermissionDenied => refused(
                ErrorKind::PermissionDenied,
                format!("`{path}` in {place} cannot be opened: {error}; links must stay inside the directory"),
            ),
            _ => refused(ErrorKind::Invalid, format!("`{path}` in {place} cannot be opened: {error}")),
        }
    })?;
    if size > bytes_max {
        return Err(too_large(size, bytes_max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The file may grow while it is read: one byte more than allowed tells.
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| refused(ErrorKind::Invalid, format!("`{path}` cannot be read: {error}")))?;
    Ok(bytes)
}

fn too_large(found: u64, bytes_max: u64) -> PrepareError {
    PrepareError::new(
        "limits.max_module_bytes",
        ErrorKind::Invalid,
        format!("the code is larger than `limits.max_module_bytes`: {found} bytes, and {bytes_max} are allowed"),
    )
}

fn check_hash(bytes: &[u8], expected: &Hash) -> Result<(), PrepareError> {
    let found = hash(bytes);
    if found == *expected {
        return Ok(());
    }
    let hex = |hash: &Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut error = PrepareError::new("hash", ErrorKind::Invalid, "the hash does not match the file");
    error.notes.push(format!("expected sha256:{}", hex(expected)));
    error.notes.push(format!("found    sha256:{}", hex(&found)));
    Err(error)
}

/// `sha256` is the hash of the bytes, where it is known: hashing large ones takes a while.
fn classify(bytes: Vec<u8>, sha256: Option<Hash>, is_text: bool, field: &'static str) -> Result<Binary, PrepareError> {
    let refused = |message: String| PrepareError::new(field, ErrorKind::Invalid, message);
    if bytes.is_empty() {
        return Err(refused("the code is empty; a WebAssembly module or component was expected".to_owned()));
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(refused(
            "this is precompiled machine code, which is never loaded; use the WebAssembly file it was compiled from"
                .to_owned(),
        ));
    }
    if let Some(version) = bytes.strip_prefix(b"\0asm") {
        return match version {
            [1, 0, 0, 0, ..] => Ok(Binary::Module(bytes)),
            [0x0d, 0, 1, 0, ..] => {
                let sha256 = sha256.unwrap_or_else(|| hash(&bytes));
                Ok(Binary::Component(bytes, sha256))
            }
            [_, _, _, _, ..] => Err(refused(format!(
                "this is WebAssembly of an unknown version ({:02x?}); build it as a module of version 1 or as a component",
                &version[..4]
            ))),
            _ => Err(refused("the code is cut off after its first bytes; copy the whole file".to_owned())),
        };
    }
    let looks_like_text =
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"(;".contains(byte));
    if !is_text && !looks_like_text {
        return Err(refused(
            "this is not WebAssembly: it has neither the magic bytes of a binary nor the form of a text".to_owned(),
        ));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| refused(format!("the WebAssembly text is not UTF-8, from byte {}", error.valid_up_to())))?;
    let binary = wat::parse_str(text).map_err(|error| text_error(field, &error))?;
    match binary.get(4) {
        Some(1) => Ok(Binary::Module(binary)),
        _ => {
            let sha256 = hash(&binary);
            Ok(Binary::Component(binary, sha256))
        }
    }
}

fn text_error(field: &'static str, error: &wat::Error) -> PrepareError {
    // The message is followed by the place and the line, which the author wants to see as they are.
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut prepared =
        PrepareError::new(field, ErrorKind::Invalid, format!("the WebAssembly text does not parse: {first}"));
    prepared.notes.extend(lines.map(|line| line.replace("<anon>", "the text")));
    prepared
}
