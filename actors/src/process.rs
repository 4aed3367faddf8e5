//! Processes: programs that are spawned, run as actors of their own under the root, and exit with a code.
//!
//! A process has no dispatcher and no pool, and nobody starts it again: whoever spawned it hears how it ended, and so does
//! everybody who monitors it.

mod exit;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use exit::Exit;
use exit::{Announcer, Exited};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, Message};

use crate::{
    call::{CallError, Context, ErrorKind},
    directory::Directory,
    metrics::FunctionMetrics,
    spec::{FunctionId, Limits},
    threads::GuestThreads,
    wasm::{Stdio, WasmFunction},
};

/// What may be said about one process.
#[derive(Debug, Default)]
pub struct ProcessOptions {
    /// Arguments after those of its entry. Default is none.
    pub args: Vec<String>,
    /// Where its input comes from and its output goes to. Default is no input, and the log for output.
    pub stdio: Stdio,
    /// How long it may take, from now. Default is for ever. When it passes, the process is killed and has ended with
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// What its calls of other functions inherit. Default is empty.
    pub context: Context,
}

/// A running process, or one that has ended. Cheap to clone; dropping it leaves the process alone.
#[derive(Clone)]
pub struct Process {
    id: FunctionId,
    actor: ActorRef<Run>,
    exited: Arc<Exited>,
}

impl Process {
    /// The entry that it runs.
    pub fn id(&self) -> &FunctionId {
        &self.id
    }

    /// The id of its actor.
    pub fn pid(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Its actor, to link with others. An actor is stopped between messages, and the whole run is one: to end the process,
    /// use [`Process::kill`].
    pub fn actor(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// Waits until it has ended. One that has ended is gone when this is known: its instance, and what it held.
    pub async fn exited(&self) -> Exit {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.exited.then(move |result| {
            // Whoever stopped waiting does not want to know.
            drop(sender.send(result));
        });
        let lost = |_| Err(CallError::new(ErrorKind::Internal, "how the process ended was lost"));
        Exit { pid: self.pid(), id: self.id.clone(), result: receiver.await.unwrap_or_else(lost) }
    }

    /// Sends an actor a message when the process has ended, or now if it has: exactly one for each time this is called.
    pub fn monitor<M: Message>(&self, watcher: ActorRef<M>, message: impl FnOnce(Exit) -> M + Send + 'static) {
        let (pid, id) = (self.pid(), self.id.clone());
        self.exited.then(move |result| {
            // A watcher that is gone does not want to know.
            drop(watcher.cast(message(Exit { pid, id, result })));
        });
    }

    /// Kills it, wherever it is. Nothing happens to one that has ended.
    pub fn kill(&self) {
        self.actor.kill();
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("id", &self.id).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

/// A program that can be spawned.
pub(crate) struct Program {
    pub(crate) id: FunctionId,
    pub(crate) limits: Limits,
    pub(crate) executor: Arc<WasmFunction>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

/// The programs of a runtime.
pub(crate) struct Programs {
    pub(crate) by_id: HashMap<FunctionId, Arc<Program>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) threads: Arc<GuestThreads>,
    pub(crate) root: ActorCell,
    pub(crate) closed: AtomicBool,
}

impl Programs {
    pub(crate) fn ids(&self) -> Vec<FunctionId> {
        let mut ids: Vec<_> = self.by_id.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// Spawns nothing from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Starts a process. It belongs to the root, and ends with it.
    pub(crate) fn spawn(&self, id: &str, options: ProcessOptions) -> Result<Process, CallError> {
        let program = self.by_id.get(id);
        let program =
            program.ok_or_else(|| CallError::new(ErrorKind::NotFound, format!("there is no process `{id}`")))?;
        let stopping =
            || CallError::new(ErrorKind::Unavailable, "the runtime is shutting down and spawns no processes");
        if self.closed.load(Ordering::Acquire) {
            return Err(stopping());
        }
        let exited = Arc::new(Exited::default());
        let args = Start {
            program: program.clone(),
            directory: self.directory.clone(),
            options,
            announcer: Announcer::new(program.id.clone(), exited.clone(), program.metrics.clone()),
        };
        // Processes live on the guest threads, as workers do.
        let _threads = self.threads.handle().enter();
        let spawned = ActorRuntime::spawn_linked_instant(None, ProcessActor, args, self.root.clone());
        let (actor, _) = spawned.map_err(|_| stopping())?;
        Ok(Process { id: program.id.clone(), actor, exited })
    }
}

struct ProcessActor;

/// The one message of a process, from itself.
struct Run;

struct Start {
    program: Arc<Program>,
    directory: Arc<Directory>,
    options: ProcessOptions,
    announcer: Announcer,
}

struct ProcessState {
    program: Arc<Program>,
    directory: Arc<Directory>,
    /// Taken when the process runs.
    options: Option<ProcessOptions>,
    announcer: Announcer,
    spawned: Instant,
}

impl Actor for ProcessActor {
    type Msg = Run;
    type State = ProcessState;
    type Arguments = Start;

    async fn pre_start(&self, myself: ActorRef<Run>, start: Start) -> Result<ProcessState, ActorProcessingErr> {
        let Start { program, directory, options, announcer } = start;
        // A kill reaches what runs in the handling of a message.
        myself.cast(Run)?;
        Ok(ProcessState { program, directory, options: Some(options), announcer, spawned: Instant::now() })
    }

    async fn handle(&self, myself: ActorRef<Run>, _: Run, state: &mut ProcessState) -> Result<(), ActorProcessingErr> {
        let Some(options) = state.options.take() else { return Ok(()) };
        let result = run(&state.program, &state.directory, options, state.spawned).await;
        state.announcer.ended(result);
        myself.stop(None);
        Ok(())
    }
}

async fn run(
    program: &Arc<Program>,
    directory: &Directory,
    options: ProcessOptions,
    spawned: Instant,
) -> Result<i32, CallError> {
    let ProcessOptions { args, stdio, timeout: time, context } = options;
    let until = time.and_then(|time| spawned.checked_add(time)).into_iter().chain(context.deadline).min();
    let context = Arc::new(Context { deadline: until, ..context });
    let limit = program.limits.max_execution;
    let running = async {
        let _place = directory.place(&*program.executor).await?;
        // The limit runs from when there is room, as for calls.
        let started = Instant::now();
        let made = within(Some(program.limits.make_max()), program.executor.command(args, stdio)).await;
        let command = made.unwrap_or_else(|| {
            let max = program.limits.make_max().as_millis();
            Err(timeout(format!("making an instance of `{}` took longer than {max} ms", program.id)))
        })?;
        let mut live = program.metrics.instance_made();
        live.running(true);
        live.memory(command.memory_bytes());
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        let ended = within(left, command.run(&context)).await;
        program.metrics.ran(started.elapsed());
        ended.unwrap_or_else(|| {
            let max = limit.unwrap_or_default().as_millis();
            Err(timeout(format!("the process `{}` ran longer than limits.max_execution_ms ({max} ms)", program.id)))
        })
    };
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let ended = within(left, running).await;
    ended.unwrap_or_else(|| Err(timeout(format!("the timeout of the process `{}` passed", program.id))))
}

/// The result of a future, or `None` when it takes longer than this.
async fn within<T>(time: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match time {
        Some(time) => tokio::time::timeout(time, future).await.ok(),
        None => Some(future.await),
    }
}

fn timeout(message: String) -> CallError {
    CallError::new(ErrorKind::Timeout, message)
}
