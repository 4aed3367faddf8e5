//! The mounts of a function: directories of the host, opened once and shared by all its instances.
//!
//! What a guest may do below them is `files`' business and wasmtime-wasi's.

use std::{
    fs, io,
    sync::{Mutex, PoisonError},
};

use wasmtime_wasi::{FsPerms, WasiCtx, filesystem::WasiFilesystemCtx};

use crate::{
    call::{CallError, ErrorKind},
    spec::{FunctionId, Mount},
};

/// Which directory a path led to: its device and number, where the system has such.
type Identity = Option<(u64, u64)>;

/// The mounts of one function. One handle a mount serves all instances: thousands of them take no more files.
pub(super) struct Mounts {
    function: FunctionId,
    mounts: Vec<Mount>,
    opened: Mutex<Option<Mounted>>,
}

/// The directories that an instance was given.
#[derive(Clone)]
pub(super) struct Mounted {
    directories: WasiFilesystemCtx,
    identities: Vec<Identity>,
}

impl Mounted {
    pub(super) fn directories(&self) -> &WasiFilesystemCtx {
        &self.directories
    }
}

impl Mounts {
    pub(super) fn new(function: &FunctionId, mounts: &[Mount]) -> Self {
        Self { function: function.clone(), mounts: mounts.to_vec(), opened: Mutex::default() }
    }

    /// The directories as they are now; `None` where nothing is mounted.
    ///
    /// # Errors
    /// `unavailable`, when a directory cannot be opened: it may come back.
    pub(super) fn open(&self) -> Result<Option<Mounted>, CallError> {
        if self.mounts.is_empty() {
            return Ok(None);
        }
        // Before they are opened: of a directory that is replaced in between, the next look sees that it is another.
        let identities = self.identities()?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened
            && are_same(&opened.identities, &identities)
        {
            return Ok(Some(opened.clone()));
        }
        let mut wasi = WasiCtx::builder();
        for mount in &self.mounts {
            let permissions = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            wasi.preopened_dir(&mount.host, &mount.guest, permissions)
                .map_err(|error| self.cannot_open(mount, &format!("{error:#}")))?;
        }
        let mounted = Mounted { directories: wasi.build().filesystem().clone(), identities };
        *opened = Some(mounted.clone());
        Ok(Some(mounted))
    }

    /// Fails when the directories of an instance are no longer those of its mounts.
    ///
    /// # Errors
    /// `unavailable`: a directory is gone, or another is in its place. An instance that is made anew sees that one.
    pub(super) fn refuse_replaced(&self, mounted: &Mounted) -> Result<(), CallError> {
        let now = self.identities()?;
        let of_instance = &mounted.identities;
        match (0..now.len()).find(|at| now[*at] != of_instance[*at]) {
            None => Ok(()),
            Some(at) => Err(CallError::new(
                ErrorKind::Unavailable,
                format!(
                    "the directory of the mount `{}` of `{}` was replaced by another; call again to use it",
                    self.mounts[at].guest, self.function
                ),
            )),
        }
    }

    fn identities(&self) -> Result<Vec<Identity>, CallError> {
        let identity = |mount: &Mount| match fs::metadata(&mount.host) {
            Ok(metadata) if metadata.is_dir() => Ok(identity(&metadata)),
            Ok(_) => Err(self.cannot_open(mount, "it is no directory")),
            Err(error) => Err(self.cannot_open(mount, &error.to_string())),
        };
        self.mounts.iter().map(identity).collect()
    }

    fn cannot_open(&self, mount: &Mount, reason: &str) -> CallError {
        let (guest, place) = (&mount.guest, mount.host.display());
        CallError::new(
            ErrorKind::Unavailable,
            format!("the mount `{guest}` of `{}` cannot be opened: {place}: {reason}", self.function),
        )
    }
}

/// Why a mount cannot be opened, if it cannot.
pub(super) fn refused(mount: &Mount) -> Option<String> {
    let reason = match fs::metadata(&mount.host).and_then(|metadata| match metadata.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no directory")),
    }) {
        Ok(()) => return None,
        Err(error) => error,
    };
    Some(format!("the mount `{}` cannot be opened: {}: {reason}", mount.guest, mount.host.display()))
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Identity {
    None
}

/// Whether these are known to be the same directories. Where nothing is known, each instance opens its own.
fn are_same(a: &[Identity], b: &[Identity]) -> bool {
    a == b && a.iter().all(Option::is_some)
}
