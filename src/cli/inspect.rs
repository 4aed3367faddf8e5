//! `greenroom inspect FILE`: what a WebAssembly file exports and imports, and the registry entry that runs it.
//!
//! Nothing is compiled or run here. Components are read in `component`, core modules in `module`; `entry` writes the YAML.

mod component;
mod entry;
mod module;

use std::{
    fmt,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use greenroom_actors::spec::Capability;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

/// What is in a file. Displays as text for people; serialises as JSON for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What it holds.
    pub kind: FileKind,
    /// Whether it is WebAssembly text (`.wat`) and not binary.
    pub text: bool,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The functions that it exports.
    pub exports: Vec<Export>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// Its world in WIT, or what the functions of a core module read as; `None` when there are none.
    pub wit: Option<String>,
    /// Entries to paste into an `_index.yaml` in the folder of the file; `None` when it exports nothing to call.
    pub entry: Option<String>,
}

/// What a WebAssembly file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A component: its types are WIT.
    Component,
    /// A core module: its types are numbers.
    Module,
}

/// An exported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    /// What `method:` calls it.
    pub method: String,
    /// Its WIT signature, `func(a: s32) -> s32`; `None` for a core function that has none.
    pub wit: Option<String>,
    /// Its core signature, `(i32) -> i32`; `None` in components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<String>,
    /// Why an entry cannot call it; `None` when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether it is the start of a command: the function of `wasi:cli/run`, or `_start` of a core module.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// Whether it handles HTTP requests: `transport: wasi-http` runs it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub http: bool,
}

/// Something imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// The interface, function, or `module.name` of a core module.
    pub name: String,
    /// The groups that `imports:` must grant for it; none when it is free, or when only an embedder can provide it.
    #[serde(serialize_with = "capability_names")]
    pub grants: Vec<Capability>,
    /// Whether every guest has it: WASI that is imported for its types alone, or to ask for mounts where nothing else is
    /// done with files.
    pub free: bool,
}

fn capability_names<S: Serializer>(groups: &[Capability], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.iter().map(|group| group.name()))
}

/// The bytes of a file that is inspected, at most: what `limits.max_module_bytes` is by default.
const BYTES_MAX: u64 = 256 << 20;

/// Why a file cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is larger than any module that an entry loads by default.
    #[error("{} is larger than {BYTES_MAX} bytes, and so than what an entry loads unless it says otherwise", .0.display())]
    TooLarge(PathBuf),
    /// There is nothing in it.
    #[error("{} is empty; was the build that writes it interrupted?", .0.display())]
    Empty(PathBuf),
    /// It is something else.
    #[error("{} is not WebAssembly: it starts neither with `\\0asm` nor with `(`", .0.display())]
    NotWasm(PathBuf),
    /// It ends too early.
    #[error("{} is cut short: it ends after {size} bytes, in the middle of a section; build or copy it again", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: usize,
    },
    /// It is text that does not parse.
    #[error("{} is not valid WebAssembly text: {problem}", file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
    /// It is binary that does not validate.
    #[error("{} is not valid WebAssembly: {problem}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// It holds types and no code.
    #[error("{} holds WIT definitions and no code; give the component that was built from them", .0.display())]
    WitOnly(PathBuf),
}

/// Reads and inspects a file.
///
/// # Errors
/// When it cannot be read, and as [`inspect`].
pub fn inspect_file(file: &Path) -> Result<Inspection, InspectError> {
    let unreadable = |cause| InspectError::Unreadable { file: file.to_owned(), cause };
    let mut bytes = Vec::new();
    // A device has no end.
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(InspectError::TooLarge(file.to_owned()));
    }
    inspect(&bytes, file)
}

/// Inspects a component or module, binary or text; `file` is its name, for messages and the entry.
///
/// # Errors
/// When it is empty, no WebAssembly, cut short or invalid.
pub fn inspect(bytes: &[u8], file: &Path) -> Result<Inspection, InspectError> {
    let owned = || file.to_owned();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(InspectError::Empty(owned()));
    }
    const MAGIC: &[u8] = b"\0asm";
    let text = !bytes.starts_with(MAGIC);
    let binary = if !text {
        bytes.into()
    } else if MAGIC.starts_with(bytes) {
        return Err(InspectError::Truncated { file: owned(), size: bytes.len() });
    } else if wat::Detect::from_bytes(bytes).is_wasm() {
        wat::parse_bytes(bytes)
            .map_err(|error| InspectError::Text { file: owned(), problem: error.to_string().trim_end().to_owned() })?
    } else {
        return Err(InspectError::NotWasm(owned()));
    };
    Validator::new_with_features(WasmFeatures::all()).validate_all(&binary).map_err(|error| {
        // The parser tells a file that ends too early from others by its words alone.
        if error.message().contains("unexpected end") {
            return InspectError::Truncated { file: owned(), size: bytes.len() };
        }
        InspectError::Invalid { file: owned(), problem: error.to_string() }
    })?;
    let contents = match encoding(&binary) {
        Some(Encoding::Component) => component::read(&binary, file)?,
        _ => module::read(&binary)
            .map_err(|error| InspectError::Invalid { file: owned(), problem: error.to_string() })?,
    };
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut inspection = Inspection {
        file: owned(),
        kind: contents.kind,
        text,
        size: bytes.len() as u64,
        sha256,
        exports: contents.exports,
        imports: contents.imports,
        wit: contents.wit,
        entry: None,
    };
    inspection.entry = entry::write(&inspection);
    Ok(inspection)
}

/// What the readers of components and modules find.
struct Contents {
    kind: FileKind,
    exports: Vec<Export>,
    imports: Vec<Import>,
    wit: Option<String>,
}

fn encoding(binary: &[u8]) -> Option<Encoding> {
    match Parser::new(0).parse_all(binary).next()? {
        Ok(Payload::Version { encoding, .. }) => Some(encoding),
        _ => None,
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FileKind::Component => "component",
            FileKind::Module => "core module",
        };
        let text = if self.text { " in text form" } else { "" };
        writeln!(f, "{}: {kind}{text}, {} bytes", self.file.display(), self.size)?;
        writeln!(f, "sha256:{}", self.sha256)?;

        writeln!(f, "\nexports")?;
        for export in &self.exports {
            write!(f, "  {}: {}", export.method.escape_debug(), export.wit.as_deref().unwrap_or("no WIT"))?;
            if let Some(core) = &export.core {
                write!(f, "  (core {core})")?;
            }
            match &export.refused {
                Some(why) => writeln!(f, "  cannot be called: {why}")?,
                None => writeln!(f)?,
            }
        }
        if self.exports.is_empty() {
            writeln!(f, "  none: there is nothing to call")?;
        }

        writeln!(f, "\nimports")?;
        for import in &self.imports {
            let grants: Vec<_> = import.grants.iter().map(|group| group.name()).collect();
            match grants.as_slice() {
                [] if import.free => writeln!(f, "  {}  needs no grant", import.name.escape_debug())?,
                [] => writeln!(f, "  {}  only an embedder can provide it", import.name.escape_debug())?,
                grants => writeln!(f, "  {}  granted by {}", import.name.escape_debug(), grants.join(", "))?,
            }
        }
        if self.imports.is_empty() {
            writeln!(f, "  none: it needs no grants")?;
        }

        if let Some(wit) = &self.wit {
            writeln!(f, "\nWIT")?;
            indented(f, wit)?;
        }
        if let Some(entry) = &self.entry {
            writeln!(f, "\n_index.yaml, beside the file")?;
            indented(f, entry)?;
        }
        Ok(())
    }
}

fn indented(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.lines().try_for_each(|line| if line.is_empty() { writeln!(f) } else { writeln!(f, "  {line}") })
}

#[cfg(test)]
mod tests;
