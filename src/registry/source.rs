//! The files of a registry: which are read, and the text they hold. What the text means is `document`'s business.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::diagnostic::{Diagnostic, Diagnostics};

/// The most bytes that a registry file may have.
pub(super) const FILE_BYTES_MAX: u64 = 8 << 20;
/// How deep folders below the root may nest.
const FOLDER_DEPTH_MAX: usize = 64;

/// One registry file in memory.
pub(super) struct SourceFile {
    /// Its path as messages show it: the root as the user wrote it, then the path below.
    shown: String,
    /// Its folder, relative to the registry root.
    folder: PathBuf,
    /// The namespace of its entries when the file names none: the name of its folder.
    namespace: String,
    text: String,
    line_starts: OnceLock<Vec<usize>>,
}

impl SourceFile {
    pub(super) fn new(shown: String, folder: PathBuf, namespace: String, text: String) -> Self {
        Self { shown, folder, namespace, text, line_starts: OnceLock::new() }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            let mut starts: Vec<_> = std::iter::once(0).chain(breaks).collect();
            starts.shrink_to_fit();
            starts
        })
    }

    /// The line of a byte offset, counted from 0.
    pub(super) fn line_index(&self, offset: usize) -> usize {
        self.line_starts().partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The bytes of a run of lines, counted from 0, with the last line's break left out.
    pub(super) fn lines(&self, first: usize, last: usize) -> Range<usize> {
        let starts = self.line_starts();
        let start = starts.get(first).copied().unwrap_or(self.text.len());
        let end = starts.get(last + 1).map_or(self.text.len(), |next| next.saturating_sub(1));
        start..end.max(start)
    }

    /// Line and column of a byte offset, both counted from 1, columns in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_index(offset);
        let start = self.line_starts().get(line).copied().unwrap_or_default();
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }
}

/// Reads every registry file below `root`, in the order of their paths.
///
/// Hidden folders and files, `target` and `node_modules` are skipped. A symbolic link to a file is read, as mounted
/// configuration is made of such links; one to a folder is not followed, so that no loop can be walked.
pub(super) fn read_all(root: &Path, out: &mut Diagnostics) -> Vec<Arc<SourceFile>> {
    let shown_root = root.display().to_string();
    match fs::metadata(root) {
        Err(error) => {
            let message = format!("there is no registry at `{shown_root}`: {}", reason(&error));
            out.push(Diagnostic::error(message)).help("name a folder that holds registry files, such as `_index.yaml`");
            return Vec::new();
        }
        Ok(metadata) if !metadata.is_dir() => {
            let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            out.push(Diagnostic::error(format!("`{shown_root}` is a file; a registry is a folder")))
                .help(format!("name the folder that holds it: `{}`", parent.display()));
            return Vec::new();
        }
        Ok(_) => {}
    }
    let mut files = Vec::new();
    let mut found = 0_usize;
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().max_depth(FOLDER_DEPTH_MAX);
    let visible = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let skipped =
            name.starts_with('.') || (entry.file_type().is_dir() && (name == "target" || name == "node_modules"));
        entry.depth() == 0 || !skipped
    };
    for entry in walk.into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).display().to_string();
                let cause = error.io_error().map_or_else(|| "it cannot be walked".to_owned(), reason);
                out.push(Diagnostic::error(format!("cannot read the folder `{path}`: {cause}")));
                continue;
            }
        };
        let is_yaml = entry.path().extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !is_yaml || entry.file_type().is_dir() {
            continue;
        }
        found += 1;
        match read_one(root, entry.path()) {
            Ok(file) => files.push(Arc::new(file)),
            Err(diagnostic) => {
                out.push(*diagnostic);
            }
        }
    }
    if found == 0 && !out.has_errors() {
        out.push(Diagnostic::error(format!("there are no registry files in `{shown_root}`")))
            .help("a registry file ends in `.yaml` or `.yml`; `_index.yaml` is the usual name");
    }
    files
}

fn read_one(root: &Path, path: &Path) -> Result<SourceFile, Box<Diagnostic>> {
    let shown = path.strip_prefix("./").unwrap_or(path).display().to_string();
    let fail = |message: String| Box::new(Diagnostic::error(message).in_file(&shown));
    let bytes = read_bounded(path, FILE_BYTES_MAX).map_err(|error| match error {
        ReadError::Io(error) => fail(format!("cannot read `{shown}`: {}", reason(&error))),
        ReadError::NotAFile => fail(format!("`{shown}` is no regular file")),
        ReadError::TooLarge => {
            let mut diagnostic = fail(format!("`{shown}` is over {} MiB", FILE_BYTES_MAX >> 20));
            diagnostic.help("split it: every `.yaml` file below the registry root is read");
            diagnostic
        }
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let mut diagnostic = fail(format!("`{shown}` is not UTF-8: the first bad byte is on line {line}"));
        diagnostic.help("save the file as UTF-8");
        diagnostic
    })?;
    // Offsets of the parser do not count a byte order mark, so neither does the text that is shown.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new("")).to_owned();
    let namespace = match folder.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => {
            let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
            root.file_name().unwrap_or_default().to_string_lossy().into_owned()
        }
    };
    Ok(SourceFile::new(shown, folder, namespace, text))
}

/// Why a file was not read.
pub(super) enum ReadError {
    Io(io::Error),
    NotAFile,
    TooLarge,
}

/// Reads a file of at most `bytes_max` bytes. What is no regular file is not opened: a pipe would block for ever.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    if !fs::metadata(path).map_err(ReadError::Io)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = read_to_end(fs::File::open(path).map_err(ReadError::Io)?, bytes_max)?;
    // What a registry is made of is kept for as long as it lives.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Reads what a reader holds, at most `bytes_max` bytes.
pub(super) fn read_to_end(reader: impl io::Read, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(reader, bytes_max.saturating_add(1)), &mut bytes)
        .map_err(ReadError::Io)?;
    if bytes.len() as u64 > bytes_max { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

/// An I/O error in words. The number that the standard library appends tells a user nothing.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        kind => kind.to_string(),
    }
}
