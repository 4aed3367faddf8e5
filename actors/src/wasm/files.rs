//! What a guest may hold of files, and which it may open: bounds in front of wasmtime-wasi's own functions.
//!
//! Paths, permissions and the reading and writing itself are wasmtime-wasi's business; which directories are mounted is
//! `mounts`'.

use std::{
    fs::File,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult, StreamError,
        bindings::{
            filesystem::types::{
                DescriptorFlags, DescriptorType, DirectoryEntryStream, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
            },
            io::streams,
        },
    },
};

use super::{
    host::GuestState,
    limits::{ALL_FILES_MAX, DIRECTORY_STREAMS_MAX, FILE_STREAMS_MAX, FILES_MAX, PROCESS_FILES_ASSUMED},
};
use crate::call::{CallError, ErrorKind};

/// The interfaces under the names and versions that wasmtime-wasi links them by, which are looked up here.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
const STREAMS: &str = "wasi:io/streams@0.2.12";

/// Puts the bounds in front of the functions of `wasi:filesystem/types`, which is linked already.
pub(super) fn bound_files(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, GuestState>, (dir, path_flags, path, open_flags, flags): Open| {
            Box::new(async move {
                let opened = open(store.data_mut(), dir, path_flags, path, open_flags, flags).await;
                Ok((outcome(opened)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut store: StoreContextMut<'_, GuestState>, (dir,): (Resource<Descriptor>,)| {
            Box::new(async move { Ok((directory(store.data_mut(), dir).await?,)) })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file, offset): (Resource<Descriptor>, u64)| {
            Ok((stream(store.data_mut(), |mut files| files.read_via_stream(file, offset))?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file, offset): (Resource<Descriptor>, u64)| {
            Ok((stream(store.data_mut(), |mut files| files.write_via_stream(file, offset))?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file,): (Resource<Descriptor>,)| {
            Ok((stream(store.data_mut(), |mut files| files.append_via_stream(file))?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Makes `write` of `wasi:io/streams` refuse more than its stream has room for, as its description says it does: a
/// stream to a file would take any number of bytes, and keep them until they are written.
pub(super) fn bound_writes(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(STREAMS)?.func_wrap(
        "[method]output-stream.write",
        |mut store: StoreContextMut<'_, GuestState>, (to, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            let table = store.data_mut().table();
            let stream = table.get_mut(&to)?;
            let written = stream.check_write().and_then(|room| match bytes.len() <= room {
                true => stream.write(bytes.into()),
                false => Err(StreamError::Trap(wasmtime::format_err!(
                    "the guest wrote {} bytes to a stream that has room for {room}; `check-write` says how many",
                    bytes.len()
                ))),
            });
            match written {
                Ok(()) => Ok((Ok(()),)),
                Err(error) => Ok((Err(streams::Host::convert_stream_error(table, error)?),)),
            }
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

type Open = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

async fn open(
    state: &mut GuestState,
    dir: Resource<Descriptor>,
    path_flags: PathFlags,
    path: String,
    open_flags: OpenFlags,
    flags: DescriptorFlags,
) -> FsResult<Resource<Descriptor>> {
    if state.held.files() >= FILES_MAX {
        return Err(FsError::trap(too_many(state, "files", FILES_MAX)));
    }
    let all = Arc::clone(state.open_files());
    if !all.have_room() {
        return Err(FsError::trap(all.error(state)));
    }
    let again = Resource::new_borrow(dir.rep());
    let found = state.filesystem().stat_at(again, path_flags, path.clone()).await;
    // Opening a pipe waits for its other end, on a thread that all guests share and that nobody can call back.
    if found.is_ok_and(|stat| stat.type_ == DescriptorType::Unknown) {
        return Err(ErrorCode::Unsupported.into());
    }
    let opened = state.filesystem().open_at(dir, path_flags, path, open_flags, flags).await?;
    let file = match state.table().get(&opened)? {
        Descriptor::File(file) => Arc::downgrade(&file.file),
        Descriptor::Dir(dir) => Arc::downgrade(&dir.dir),
    };
    all.add(file.clone());
    state.held.files.push(file);
    Ok(opened)
}

/// The files that all guests of one engine have open: so many that the process has as many left for everything else.
pub(super) struct OpenFiles {
    max: usize,
    open: Mutex<Vec<Weak<File>>>,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").ok();
        let process = limits.as_deref().and_then(files_of_process).unwrap_or(PROCESS_FILES_ASSUMED);
        Self::with_max(process / 2)
    }

    fn with_max(max: usize) -> Self {
        Self { max: max.clamp(1, ALL_FILES_MAX), open: Mutex::default() }
    }

    fn have_room(&self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.max {
            open.retain(|file| file.strong_count() > 0);
        }
        open.len() < self.max
    }

    fn add(&self, file: Weak<File>) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    fn error(&self, state: &GuestState) -> CallError {
        CallError::new(
            ErrorKind::Unavailable,
            format!(
                "`{}`: all guests together have {} files open, and may have no more: half of what the process may have is \
                 for everything else; raise `ulimit -n`",
                state.function(),
                self.max
            ),
        )
    }
}

/// How many files the process may have open, of what Linux says about its limits.
fn files_of_process(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

/// What a guest holds of files.
#[derive(Default)]
pub(super) struct Held {
    /// Every file and directory that was opened; streams keep theirs open when the descriptor is gone.
    files: Vec<Weak<File>>,
    streams: Streams,
    directories: Streams,
}

impl Held {
    fn files(&mut self) -> usize {
        if self.files.len() >= FILES_MAX {
            self.files.retain(|file| file.strong_count() > 0);
        }
        self.files.len()
    }
}

/// Streams of one kind: where they are in the table of handles.
#[derive(Default)]
struct Streams(Vec<u32>);

impl Streams {
    /// Whether one more may be opened.
    fn have_room(&mut self, max: usize, table: &mut ResourceTable) -> bool {
        if self.0.len() >= max {
            // A place that was given up and taken by another stream is there twice.
            self.0.sort_unstable();
            self.0.dedup();
            self.0.retain(|at| {
                table.get(&Resource::<DynInputStream>::new_borrow(*at)).is_ok()
                    || table.get(&Resource::<DynOutputStream>::new_borrow(*at)).is_ok()
                    || table.get(&Resource::<DirectoryEntryStream>::new_borrow(*at)).is_ok()
            });
        }
        self.0.len() < max
    }
}

/// Opens a stream of a file, when the guest may have one more.
fn stream<T: 'static>(
    state: &mut GuestState,
    open: impl FnOnce(WasiFilesystemCtxView<'_>) -> FsResult<Resource<T>>,
) -> wasmtime::Result<Result<Resource<T>, ErrorCode>> {
    let mut held = std::mem::take(&mut state.held.streams);
    let has_room = held.have_room(FILE_STREAMS_MAX, state.table());
    state.held.streams = held;
    if !has_room {
        return Err(too_many(state, "streams of files", FILE_STREAMS_MAX).into());
    }
    let opened = outcome(open(state.filesystem()))?;
    state.held.streams.0.extend(opened.as_ref().ok().map(Resource::rep));
    Ok(opened)
}

/// Opens a stream of a directory, when the guest may have one more.
async fn directory(
    state: &mut GuestState,
    dir: Resource<Descriptor>,
) -> wasmtime::Result<Result<Resource<DirectoryEntryStream>, ErrorCode>> {
    let mut held = std::mem::take(&mut state.held.directories);
    let has_room = held.have_room(DIRECTORY_STREAMS_MAX, state.table());
    state.held.directories = held;
    if !has_room {
        return Err(too_many(state, "streams of directories", DIRECTORY_STREAMS_MAX).into());
    }
    let opened = outcome(state.filesystem().read_directory(dir).await)?;
    state.held.directories.0.extend(opened.as_ref().ok().map(Resource::rep));
    Ok(opened)
}

fn too_many(state: &GuestState, what: &str, max: usize) -> CallError {
    CallError::new(
        ErrorKind::Internal,
        format!(
            "`{}`: the guest has {max} {what} open, and no instance may have more; close some first",
            state.function()
        ),
    )
}

/// What the guest is told.
fn outcome<T>(result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => error.downcast().map(Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_closed_make_room_for_those_of_all() {
        let files = OpenFiles::with_max(2);
        let [first, second, third] = [0; 3].map(|_| Arc::new(tempfile::tempfile().unwrap()));
        for file in [&first, &second] {
            assert!(files.have_room());
            files.add(Arc::downgrade(file));
        }
        assert!(!files.have_room());
        drop(first);
        assert!(files.have_room());
        files.add(Arc::downgrade(&third));
        assert!(!files.have_room());
    }

    #[test]
    fn guests_may_have_half_of_what_the_process_may() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             100                  100                  processes\n\
                      Max open files            1024                 1048576              files\n";
        assert_eq!(files_of_process(limits), Some(1024));
        assert_eq!(files_of_process("Max open files            unlimited unlimited files"), Some(usize::MAX));
        assert_eq!(files_of_process(""), None);
        assert!((1..=ALL_FILES_MAX).contains(&OpenFiles::new().max));
    }
}
