//! What the supervision tree looks like at one moment, as plain data to show. Who looks is not known here; nothing in it
//! comes from the environment of a function or from the arguments of a call.

use serde::Serialize;

use crate::{
    call::ErrorKind,
    spec::{FunctionId, PoolKind},
};

/// The supervision tree at one moment. [`Runtime::tree`](crate::Runtime::tree) looks at it.
#[derive(Debug, Clone, Serialize)]
pub struct Tree {
    /// The name of the runtime.
    pub runtime: String,
    /// Threads that run guests.
    pub guest_threads: usize,
    /// How many more WebAssembly instances may live, over all functions.
    pub instances_available: usize,
    /// The functions, in the order of their ids.
    pub functions: Vec<FunctionNode>,
}

impl Tree {
    /// The functions whose instances cannot be made.
    pub fn degraded(&self) -> impl Iterator<Item = &FunctionNode> {
        self.functions.iter().filter(|function| function.state == FunctionState::Degraded)
    }
}

/// One function, with its dispatcher and its workers.
#[derive(Debug, Clone, Serialize)]
pub struct FunctionNode {
    /// The entry.
    pub id: FunctionId,
    /// How it is.
    pub state: FunctionState,
    /// Calls that run or wait.
    pub calls: usize,
    /// Calls that may run or wait. More are refused, or wait for room.
    pub calls_max: usize,
    /// What its dispatcher says; `None` when that says nothing.
    pub pool: Option<PoolNode>,
    /// What was started again so far.
    pub restarts: Restarts,
    /// The last call that failed, other than by its caller's fault or for want of room.
    pub last_error: Option<LastError>,
}

/// How a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionState {
    /// It takes calls.
    Ready,
    /// No instance can be made; it is tried again.
    Degraded,
    /// Its dispatcher does not answer.
    Silent,
}

/// A function's pool, as its dispatcher knows it.
#[derive(Debug, Clone, Serialize)]
pub struct PoolNode {
    /// Which of the four.
    #[serde(serialize_with = "name")]
    pub kind: PoolKind,
    /// Live instances at most.
    pub instances_max: usize,
    /// Calls that wait for a worker.
    pub waiting: usize,
    /// Workers that are not ready yet.
    pub starting: usize,
    /// The workers that are, in the order in which they came.
    pub workers: Vec<WorkerNode>,
    /// Why no instance can be made, and when it is tried again; `None` while instances can be made.
    pub degraded: Option<Degraded>,
}

/// One worker.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerNode {
    /// Its number, which no other worker of its dispatcher has.
    pub id: u64,
    /// What it does.
    pub state: WorkerState,
    /// How long ago it was started, in milliseconds.
    pub age_ms: u64,
    /// How long its call has been running, in milliseconds; `None` without one.
    pub call_ms: Option<u64>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It waits for a call.
    Idle,
    /// It runs a call.
    Running,
    /// It was killed and is not gone yet.
    Ending,
}

/// Why a function is degraded.
#[derive(Debug, Clone, Serialize)]
pub struct Degraded {
    /// What keeps instances from being made.
    pub why: String,
    /// When it is tried again, in milliseconds from now.
    pub retry_after_ms: u64,
}

/// Actors that ended unasked, or were killed, and were started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Restarts {
    /// Workers.
    pub workers: u64,
    /// The dispatcher.
    pub dispatcher: u64,
    /// The supervisor, with everything below it.
    pub supervisor: u64,
}

/// A call that failed.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// The kind of its error.
    #[serde(serialize_with = "kind")]
    pub kind: ErrorKind,
    /// What went wrong.
    pub message: String,
    /// How long ago, in milliseconds.
    pub age_ms: u64,
}

fn name<S: serde::Serializer>(kind: &PoolKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn kind<S: serde::Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}
