//! Finds and opens files, on blocking threads. Everything is opened inside the directory: neither `..` nor a symbolic link
//! leads out. What is no regular file is not opened: a pipe would block for ever.

use std::{
    io::{self, ErrorKind, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata},
};

use super::{
    Files, body,
    conditions::{Outcome, Validators, Wanted},
};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The path inside the directory, decoded; empty is the directory itself.
    pub(super) inside: String,
    /// Whether the path ends in `/`.
    pub(super) is_directory: bool,
}

/// What is there.
pub(super) enum Found {
    File(File),
    /// A directory whose path does not end in `/`.
    Directory,
}

/// A file, and what of it the client wants.
pub(super) struct File {
    /// The path inside the directory, which tells its type.
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) validators: Validators,
    pub(super) outcome: Outcome,
    /// The first piece of what is sent. Small files are read with the same trip to another thread that opens them.
    pub(super) first: Bytes,
    /// The file, when there is more.
    pub(super) rest: Option<std::fs::File>,
}

/// Finds what a request asks for.
///
/// # Errors
/// When the system cannot open or read what is there.
pub(super) fn find(files: &Files, target: &Target, wanted: &Wanted) -> io::Result<Option<Found>> {
    let Some(directory) = there(Dir::open_ambient_dir(&files.directory, ambient_authority()))? else { return Ok(None) };
    let found = look(files, &directory, target, wanted)?;
    match (found, &files.index) {
        (None, Some(index)) if files.spa => open(&directory, index, wanted),
        (found, _) => Ok(found),
    }
}

fn look(files: &Files, directory: &Dir, target: &Target, wanted: &Wanted) -> io::Result<Option<Found>> {
    let inside = if target.inside.is_empty() { "." } else { &target.inside };
    let Some(metadata) = there(directory.metadata(inside))? else { return Ok(None) };
    match (metadata.is_dir(), target.is_directory, &files.index) {
        (true, true, Some(index)) if inside == "." => open(directory, index, wanted),
        (true, true, Some(index)) => open(directory, &format!("{inside}/{index}"), wanted),
        (true, false, Some(_)) => Ok(Some(Found::Directory)),
        (false, false, _) => open(directory, inside, wanted),
        // Directories are not listed, and a file has nothing below it.
        _ => Ok(None),
    }
}

/// Opens a regular file, and reads the first piece of what is to be sent.
fn open(directory: &Dir, name: &str, wanted: &Wanted) -> io::Result<Option<Found>> {
    if !there(directory.metadata(name))?.is_some_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let Some(file) = there(directory.open(name))? else { return Ok(None) };
    // What is said of the file is said of the one that is open.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut file = file.into_std();
    let length = metadata.len();
    let validators = validators(&metadata);
    let outcome = wanted.outcome(length, &validators);
    let bytes = match &outcome {
        Outcome::Whole => 0..length,
        Outcome::Part(range) => range.clone(),
        _ => 0..0,
    };
    let bytes = if wanted.is_head { 0..0 } else { bytes };
    if bytes.start > 0 {
        file.seek(SeekFrom::Start(bytes.start))?;
    }
    let first = body::read_piece(&mut file, bytes.end - bytes.start)?;
    let rest = ((first.len() as u64) < bytes.end - bytes.start).then_some(file);
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Found::File(File { name, length, validators, outcome, first, rest })))
}

fn validators(metadata: &Metadata) -> Validators {
    let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
    Validators::of(metadata.len(), modified)
}

/// Nothing, where there is nothing that can be served: what must not be reached is not told from what is not there.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename => Ok(None),
            // Symbolic links that go round. The kind has no stable name.
            kind if kind.to_string().starts_with("filesystem loop") => Ok(None),
            _ => Err(error),
        },
    }
}
