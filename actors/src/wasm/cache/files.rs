//! The files of the cache: machine code as it is mapped into memory, which neither copies it nor reads what does not run.
//!
//! Each ends with a checksum of what comes before, so that one which is cut off or damaged is never run. A file is never
//! written to once it has its name. What is asked of the cache, and counted, is the business of the module above.

use std::{
    fs::{self, File},
    hash::{Hash, Hasher},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};
use xxhash_rust::xxh3::Xxh3;

/// How files of compiled code end, and those that are being written.
const EXTENSION: &str = "cwasm";
const UNFINISHED: &str = "cwasm-unfinished";

/// The checksum behind the code.
const CHECKSUM_BYTES: usize = size_of::<u64>();

/// How much of a file is read at a time.
const READ_BYTES: usize = 256 << 10;

/// A directory of compiled code.
pub(super) struct Files {
    directory: PathBuf,
    bytes_max: u64,
    is_writable: bool,
    /// What is there, in bytes, as far as this process knows; nothing before it first adds to it.
    bytes: Mutex<Option<u64>>,
}

impl Files {
    /// A directory, made when it does not exist, and tried: afterwards, failures to write are not worth an error. What is in
    /// one that cannot be written to is used all the same.
    ///
    /// # Errors
    /// When there is no directory, and none can be made.
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let directory = std::path::absolute(path)?;
        make_private(&directory)?;
        let is_writable = match tempfile::tempfile_in(&directory) {
            Ok(_) => true,
            Err(error) => {
                // Whether there is anything to be read.
                fs::read_dir(&directory)?;
                tracing::warn!(
                    path = %directory.display(),
                    "what the cache of compiled code lacks is compiled at each start, because it cannot be written to: \
                     {error}"
                );
                false
            }
        };
        Ok(Self { directory, bytes_max, is_writable, bytes: Mutex::default() })
    }

    /// Where the code of a component of this hash is, compiled by this engine. Other settings or another version of the
    /// engine have another place.
    pub(super) fn place(&self, engine: &Engine, sha256: &[u8; 32]) -> PathBuf {
        let mut hasher = Sha256Hasher(Sha256::new_with_prefix(sha256));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name: String = hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name).with_extension(EXTENSION)
    }

    /// The component of a file; `None` when there is none, or it is not what was written.
    pub(super) fn load(&self, engine: &Engine, place: &Path) -> Option<Component> {
        // Others that may be there in its place, such as pipes, could not even be opened without waiting.
        let file = fs::metadata(place).ok()?.is_file().then(|| File::open(place).ok())??;
        if !is_whole(&file, place).unwrap_or(false) {
            tracing::debug!(path = %place.display(), "compiled code is damaged, and compiled anew");
            return None;
        }
        // What was not used for longest goes first. Where the system does not let us say so, what was compiled first.
        drop(file.set_modified(SystemTime::now()));
        let loaded = deserialize(engine, place);
        loaded
            .inspect_err(|error| tracing::debug!(path = %place.display(), "compiled code is not loaded: {error:#}"))
            .ok()
    }

    /// Writes a file, and removes others where there is not room for all.
    pub(super) fn keep(&self, place: &Path, component: &Component) -> wasmtime::Result<()> {
        if !self.is_writable {
            return Ok(());
        }
        let code = component.serialize()?;
        let checksum = checksum(code.as_slice(), place)?;
        let mut file = tempfile::Builder::new().suffix(&format!(".{UNFINISHED}")).tempfile_in(&self.directory)?;
        file.write_all(&code)?;
        file.write_all(&checksum.to_le_bytes())?;
        file.persist(place).map_err(|error| error.error)?;
        Ok(self.make_room((code.len() + CHECKSUM_BYTES) as u64)?)
    }

    /// After so much was added. Looks at all files when they are not known yet, and when there are too many.
    fn make_room(&self, added: u64) -> io::Result<()> {
        let mut known = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match known.map(|bytes| bytes.saturating_add(added)) {
            Some(bytes) if bytes <= self.bytes_max => *known = Some(bytes),
            _ => *known = Some(self.remove_oldest()?),
        }
        Ok(())
    }

    /// Removes what was not used for longest, if there is too much, and some more, so that it is not done for each file.
    fn remove_oldest(&self) -> io::Result<u64> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_ours = path.extension().is_some_and(|extension| extension == EXTENSION || extension == UNFINISHED);
            // Others may be removing files as well.
            if let (true, Ok(metadata)) = (is_ours, fs::metadata(&path)) {
                files.push((metadata.modified()?, metadata.len(), path));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if bytes > self.bytes_max {
            for (_, length, path) in files {
                if bytes <= self.bytes_max / 8 * 7 {
                    break;
                }
                if fs::remove_file(path).is_ok() {
                    bytes -= length;
                }
            }
        }
        Ok(bytes)
    }
}

#[allow(unsafe_code, reason = "the one place where machine code is loaded that was not compiled by this very process")]
fn deserialize(engine: &Engine, place: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file is one that `Files::keep` wrote, whole and unchanged, as its checksum says, and nobody writes to it
    // from then on: it got its name when it was complete. Whoever else may write to the directory is trusted, and it is
    // only the user's own when we make it. That it was compiled for this version and these settings, wasmtime checks.
    unsafe { Component::deserialize_file(engine, place) }
}

/// Whether a file ends with the checksum of what comes before, at this place.
fn is_whole(mut file: &File, place: &Path) -> io::Result<bool> {
    let Some(code_bytes) = file.metadata()?.len().checked_sub(CHECKSUM_BYTES as u64) else { return Ok(false) };
    let found = checksum(file.take(code_bytes), place)?;
    let mut expected = [0; CHECKSUM_BYTES];
    file.read_exact(&mut expected)?;
    Ok(found == u64::from_le_bytes(expected))
}

/// The checksum of code and of the name that it has: that of another component, put in its place, is not what was asked for.
fn checksum(code: impl Read, place: &Path) -> io::Result<u64> {
    let mut code = BufReader::with_capacity(READ_BYTES, code);
    let mut hasher = Xxh3::new();
    hasher.update(place.file_name().unwrap_or_default().as_encoded_bytes());
    loop {
        let piece = code.fill_buf()?;
        if piece.is_empty() {
            return Ok(hasher.digest());
        }
        hasher.update(piece);
        let length = piece.len();
        code.consume(length);
    }
}

/// What is in the cache is machine code that is loaded and run: whoever may write it, runs what they like.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0
    {
        tracing::warn!(
            path = %path.display(),
            "others may write to the cache of compiled code, and so run code of theirs here; `chmod go-w` it"
        );
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        warn_if_shared(path);
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The engine tells its settings to a hasher of the standard library, whose own is too short for names.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.clone().finalize().iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmtime::Config;

    use super::*;

    const HASH: [u8; 32] = [7; 32];

    fn component(engine: &Engine) -> Component {
        Component::new(engine, "(component)").unwrap()
    }

    fn open(directory: &Path, bytes_max: u64) -> Files {
        Files::open(directory, bytes_max).unwrap()
    }

    #[test]
    fn only_what_was_written_whole_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let (files, engine) = (open(directory.path(), u64::MAX), Engine::default());
        let place = files.place(&engine, &HASH);
        assert!(files.load(&engine, &place).is_none());
        files.keep(&place, &component(&engine)).unwrap();
        assert!(files.load(&engine, &place).is_some());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
        let whole = fs::read(&place).unwrap();
        for at in [0, whole.len() / 2, whole.len() - CHECKSUM_BYTES - 1, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&place, damaged).unwrap();
            assert!(files.load(&engine, &place).is_none(), "byte {at} is another");
        }
        for length in [0, CHECKSUM_BYTES - 1, CHECKSUM_BYTES, whole.len() / 2, whole.len() - 1] {
            fs::write(&place, &whole[..length]).unwrap();
            assert!(files.load(&engine, &place).is_none(), "cut off after {length} bytes");
        }
    }

    #[test]
    fn code_in_the_place_of_another_is_not_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let (files, engine) = (open(directory.path(), u64::MAX), Engine::default());
        let [place, other] = [1, 2].map(|byte| files.place(&engine, &[byte; 32]));
        files.keep(&place, &component(&engine)).unwrap();
        fs::copy(&place, &other).unwrap();
        assert!(files.load(&engine, &other).is_none());
        assert!(files.load(&engine, &place).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (files, engine) = (open(directory.path(), u64::MAX), Engine::default());
        let place = files.place(&engine, &HASH);
        let made = std::process::Command::new("mkfifo").arg(&place).status().unwrap();
        assert!(made.success(), "a pipe in its place");
        assert!(files.load(&engine, &place).is_none());
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let files = open(directory.path(), u64::MAX);
        let (place, other) = (files.place(&engine, &HASH), files.place(&engine, &[8; 32]));
        files.keep(&place, &component(&engine)).unwrap();
        // As it is opened where nothing can be made in it, which whoever runs tests as root cannot have.
        let files = Files { is_writable: false, ..files };
        assert!(files.load(&engine, &place).is_some());
        files.keep(&other, &component(&engine)).unwrap();
        assert!(!other.exists());
    }

    #[test]
    fn code_of_other_settings_or_other_bytes_has_another_place_and_is_not_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let (files, engine) = (open(directory.path(), u64::MAX), Engine::default());
        let other = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let place = files.place(&engine, &HASH);
        assert_eq!(place, files.place(&Engine::default(), &HASH));
        assert_ne!(place, files.place(&other, &HASH));
        assert_ne!(place, files.place(&engine, &[8; 32]));
        files.keep(&place, &component(&engine)).unwrap();
        assert!(files.load(&other, &place).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let component = component(&engine);
        let length = (component.serialize().unwrap().len() + CHECKSUM_BYTES) as u64;
        let files = open(directory.path(), length * 5 / 2);
        let [used, unused, new] = [1, 2, 3].map(|byte| files.place(&engine, &[byte; 32]));
        for (place, hours) in [(&used, 2), (&unused, 1)] {
            files.keep(place, &component).unwrap();
            let before = SystemTime::now() - Duration::from_secs(hours * 3_600);
            File::options().write(true).open(place).unwrap().set_modified(before).unwrap();
        }
        assert!(files.load(&engine, &used).is_some());
        files.keep(&new, &component).unwrap();
        assert_eq!([&used, &unused, &new].map(|place| place.exists()), [true, false, true]);
        // Files of others are theirs.
        let other = directory.path().join("notes.txt");
        fs::write(&other, vec![0; usize::try_from(length * 3).unwrap()]).unwrap();
        let files = open(directory.path(), 0);
        files.keep(&unused, &component).unwrap();
        assert_eq!([&used, &unused, &new, &other].map(|place| place.exists()), [false, false, false, true]);
    }
}
