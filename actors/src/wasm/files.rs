//! What a guest may hold of files, and which it may open: bounds in front of wasmtime-wasi's own functions.
//!
//! Paths, permissions and the reading and writing itself are wasmtime-wasi's business; which directories are mounted is
//! `mounts`'.

use std::{
    fs::File,
    sync::{Arc, Weak},
};

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemView},
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
    limits::{FILE_STREAMS_MAX, FILES_MAX},
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
            Box::new(async move {
                let state = store.data_mut();
                let stream = new_stream(state)?;
                let opened = state.filesystem().read_directory(dir).await;
                Ok((outcome(opened.inspect(|handle| stream.hold(state, handle)))?,))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file, offset): (Resource<Descriptor>, u64)| {
            let state = store.data_mut();
            let stream = new_stream(state)?;
            let opened = state.filesystem().read_via_stream(file, offset);
            Ok((outcome(opened.inspect(|handle| stream.hold(state, handle)))?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file, offset): (Resource<Descriptor>, u64)| {
            let state = store.data_mut();
            let stream = new_stream(state)?;
            let opened = state.filesystem().write_via_stream(file, offset);
            Ok((outcome(opened.inspect(|handle| stream.hold(state, handle)))?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, GuestState>, (file,): (Resource<Descriptor>,)| {
            let state = store.data_mut();
            let stream = new_stream(state)?;
            let opened = state.filesystem().append_via_stream(file);
            Ok((outcome(opened.inspect(|handle| stream.hold(state, handle)))?,))
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
    state.held.files.push(file);
    Ok(opened)
}

/// What a guest holds of files.
#[derive(Default)]
pub(super) struct Held {
    /// Every file and directory that was opened; streams keep theirs open when the descriptor is gone.
    files: Vec<Weak<File>>,
    /// Where streams of files and directories were put into the table of handles.
    streams: Vec<u32>,
}

impl Held {
    fn files(&mut self) -> usize {
        if self.files.len() >= FILES_MAX {
            self.files.retain(|file| file.strong_count() > 0);
        }
        self.files.len()
    }
}

/// Leave to hold one stream more.
struct NewStream;

impl NewStream {
    fn hold<T: 'static>(self, state: &mut GuestState, handle: &Resource<T>) {
        state.held.streams.push(handle.rep());
    }
}

fn new_stream(state: &mut GuestState) -> wasmtime::Result<NewStream> {
    if state.held.streams.len() >= FILE_STREAMS_MAX {
        let mut streams = std::mem::take(&mut state.held.streams);
        streams.sort_unstable();
        // A place that was given up and taken by another stream is there twice.
        streams.dedup();
        let table = state.table();
        streams.retain(|at| {
            table.get(&Resource::<DynInputStream>::new_borrow(*at)).is_ok()
                || table.get(&Resource::<DynOutputStream>::new_borrow(*at)).is_ok()
                || table.get(&Resource::<DirectoryEntryStream>::new_borrow(*at)).is_ok()
        });
        state.held.streams = streams;
    }
    match state.held.streams.len() < FILE_STREAMS_MAX {
        true => Ok(NewStream),
        false => Err(too_many(state, "streams of files and directories", FILE_STREAMS_MAX).into()),
    }
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
