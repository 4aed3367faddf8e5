//! Where variables keep their values. A storage knows keys, not entries.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    super::source::{self, ReadError, reason},
    dotenv,
};

/// The most bytes that a `.env` file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One `env.storage.*` entry.
pub(super) enum Storage {
    Memory { id: String, values: Mutex<HashMap<String, String>> },
    File(FileStorage),
    Os { id: String },
    Static { id: String, values: BTreeMap<String, String> },
    Router { id: String, storages: Vec<Arc<Storage>> },
}

impl Storage {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::File(file) => &file.id,
            Self::Memory { id, .. } | Self::Os { id } | Self::Static { id, .. } | Self::Router { id, .. } => id,
        }
    }

    /// The value of a key, or `None`.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read, without any value.
    pub(super) fn get(&self, key: &str) -> Result<Option<String>, String> {
        match self {
            Self::Memory { values, .. } => Ok(lock(values).get(key).cloned()),
            Self::File(file) => file.get(key),
            Self::Os { id } => match std::env::var(key) {
                Ok(value) => Ok(Some(value)),
                Err(std::env::VarError::NotPresent) => Ok(None),
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(format!("`{key}` in the process environment (`{id}`) is not UTF-8"))
                }
            },
            Self::Static { values, .. } => Ok(values.get(key).cloned()),
            Self::Router { storages, .. } => {
                for storage in storages {
                    if let Some(value) = storage.get(key)? {
                        return Ok(Some(value));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The storage that takes a value: this one, or the first behind it.
    pub(super) fn writable(&self) -> Option<&Self> {
        match self {
            Self::Memory { .. } | Self::File(_) => Some(self),
            Self::Os { .. } | Self::Static { .. } => None,
            Self::Router { storages, .. } => storages.iter().find_map(|storage| storage.writable()),
        }
    }

    /// Sets a key, in a storage that [`Storage::writable`] gave.
    ///
    /// # Errors
    /// A sentence that says why it cannot be written.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), String> {
        match self {
            Self::Memory { values, .. } => {
                lock(values).insert(key.to_owned(), value.to_owned());
                Ok(())
            }
            Self::File(file) => file.set(key, value),
            Self::Os { id } | Self::Static { id, .. } | Self::Router { id, .. } => {
                Err(format!("the storage `{id}` can only be read"))
            }
        }
    }
}

/// A lock that a panic elsewhere left behind still guards whole values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values in a `.env` file. The file is read again when its time or length has changed.
pub(super) struct FileStorage {
    id: String,
    path: PathBuf,
    mode: u32,
    read: Mutex<Option<Snapshot>>,
}

struct Snapshot {
    stamp: Stamp,
    values: HashMap<String, String>,
}

/// What tells one state of a file from another. An inode changes when an editor replaces the file.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FileStorage {
    pub(super) fn new(id: String, path: PathBuf, mode: u32) -> Self {
        Self { id, path, mode, read: Mutex::new(None) }
    }

    /// Creates the file and its folders, unless it is there.
    pub(super) fn create(&self, dir_mode: u32) -> io::Result<()> {
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            create_dir(parent, dir_mode)?;
        }
        match create_new(&self.path, self.mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    fn get(&self, key: &str) -> Result<Option<String>, String> {
        let mut read = lock(&self.read);
        let stamp = stamp(&self.path).map_err(|error| self.unreadable(&reason(&error)))?;
        let snapshot = match read.take() {
            Some(snapshot) if snapshot.stamp == stamp => snapshot,
            _ => {
                let values = self.assignments()?.into_iter().map(|item| (item.key, item.value)).collect();
                Snapshot { stamp, values }
            }
        };
        let value = snapshot.values.get(key).cloned();
        *read = Some(snapshot);
        Ok(value)
    }

    /// Reads the file once, to find its faults.
    pub(super) fn check(&self) -> Result<(), String> {
        self.assignments().map(drop)
    }

    fn assignments(&self) -> Result<Vec<dotenv::Assignment>, String> {
        dotenv::parse(&self.text()?).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn text(&self) -> Result<String, String> {
        let bytes = source::read_bounded(&self.path, FILE_BYTES_MAX).map_err(|error| match error {
            ReadError::Io(error) => self.unreadable(&reason(&error)),
            ReadError::NotAFile => self.unreadable("it is no regular file"),
            ReadError::TooLarge => self.unreadable("it is over 1 MiB"),
        })?;
        String::from_utf8(bytes).map_err(|_| self.unreadable("it is not UTF-8"))
    }

    fn unreadable(&self, why: &str) -> String {
        format!("the file of `{}` cannot be read: {why}", self.id)
    }

    fn set(&self, key: &str, value: &str) -> Result<(), String> {
        if !dotenv::is_key(key) {
            return Err(format!("`{key}` cannot be a name in a `.env` file"));
        }
        let mut read = lock(&self.read);
        let text = dotenv::with(&self.text()?, key, value).map_err(|error| self.unreadable(&error.to_string()))?;
        self.replace(&text)
            .map_err(|error| format!("the file of `{}` cannot be written: {}", self.id, reason(&error)))?;
        *read = None;
        Ok(())
    }

    /// Writes the whole file beside its place and moves it there, so that readers never see half of it.
    fn replace(&self, text: &str) -> io::Result<()> {
        use std::{io::Write, os::unix::fs::PermissionsExt};
        let target = self.path.canonicalize()?;
        let mode = fs::metadata(&target)?.permissions().mode() & 0o7777;
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = target.with_file_name(name);
        let mut file = create_new(&beside, mode)?;
        let written =
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, &target));
        if written.is_err() {
            // Best effort: the failure to write is what the caller must hear of.
            drop(fs::remove_file(&beside));
        }
        written
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), inode: metadata.ino() })
}

/// Creates a file with exactly these permissions.
fn create_new(path: &Path, mode: u32) -> io::Result<fs::File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode & 0o600).open(path)?;
    // The process's mask may have taken bits away that the entry asks for.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Creates a folder and those above it, with exactly these permissions on each that was not there.
pub(in super::super) fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Longer paths than the system takes would only be walked up in vain, part by part.
    const PATH_BYTES_MAX: usize = 4096;
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent, mode)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
    }
}
