//! `funcs`: calls of other entries, awaited or in the background. They inherit the context of the call that makes them, its
//! deadline included.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, stream};
use greenroom_actors::{Answer, CallError, CallOptions, ErrorKind, Payload, WeakRuntime, wasm::host_bytes};
use mlua::{IntoLua as _, Lua, Table, UserData, UserDataMethods, Value, Variadic};
use tokio::{sync::Notify, task::AbortHandle};

use super::{Current, Host, Tasks, outcome};
use crate::lua::{
    channel::{Channel, Item},
    duration::Span,
    error::{LuaError, known},
    held::{self, Held, Ledger, json_bytes},
    value,
};

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let call =
        |lua, (id, args): (String, Variadic<Value>)| async move { call(&lua, id, &args, &Options::default()).await };
    module.raw_set("call", lua.create_async_function(call)?)?;
    let start = |lua: &Lua, (id, args): (String, Variadic<Value>)| start(lua, id, &args, &Options::default());
    module.raw_set("async", lua.create_function(start)?)?;
    module.raw_set("new", lua.create_function(|_, ()| Ok(Options::default()))?)?;
    Ok(Value::Table(module))
}

/// Names and values that calls may be given, in bytes.
const CONTEXT_BYTES_MAX: usize = 64 << 10;

/// What `funcs.new()` gives: the options of calls. Each change gives another.
#[derive(Clone, Default)]
struct Options {
    timeout: Option<Duration>,
    values: Arc<BTreeMap<String, String>>,
    /// The room that these take.
    #[allow(dead_code, reason = "held as long as the values")]
    held: Option<Arc<Held>>,
}

impl UserData for Options {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("with_options", |lua, this, options: Table| {
            let mut changed = this.clone();
            for pair in options.pairs::<String, Value>() {
                match pair? {
                    (name, value) if name == "timeout" => {
                        let Span(timeout) = mlua::FromLua::from_lua(value, lua)?;
                        changed.timeout = Some(timeout);
                    }
                    (name, _) => {
                        return Err(LuaError::invalid(format!("there is no option `{name}`; there is `timeout`")));
                    }
                }
            }
            Ok(changed)
        });
        methods.add_method("with_context", |lua, this, values: Table| {
            let mut changed = (*this.values).clone();
            for pair in values.pairs::<String, Value>() {
                let (name, value) = pair?;
                let value = match &value {
                    Value::String(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => value.to_string()?,
                    other => {
                        let got = other.type_name();
                        return Err(LuaError::invalid(format!(
                            "with_context: `{name}` is a {got}; values are strings"
                        )));
                    }
                };
                changed.insert(name, value);
            }
            let bytes: usize = changed.iter().map(|(name, value)| name.len() + value.len()).sum();
            if bytes > CONTEXT_BYTES_MAX {
                return Err(LuaError::invalid(format!("with_context: more than {CONTEXT_BYTES_MAX} bytes of values")));
            }
            let held = held::hold(lua, bytes as u64).map_err(LuaError::raised)?.map(Arc::new);
            Ok(Self { values: Arc::new(changed), held, ..this.clone() })
        });
        methods.add_async_method("call", |lua, this, (id, args): (String, Variadic<Value>)| async move {
            let options = this.clone();
            drop(this);
            call(&lua, id, &args, &options).await
        });
        methods.add_method("async", |lua, this, (id, args): (String, Variadic<Value>)| start(lua, id, &args, this));
    }
}

/// A call that is ready to be made.
struct Ready {
    runtime: WeakRuntime,
    id: String,
    args: Payload,
    options: CallOptions,
    /// When the chain of calls that this one belongs to is over.
    deadline: Option<Instant>,
    /// The room that the arguments take.
    held: Option<Held>,
}

/// Converts the arguments to what the function takes.
fn ready(lua: &Lua, id: String, args: &[Value], options: &Options) -> Result<Ready, CallError> {
    let host = Host::of(lua)?;
    let mut context = Current::context(lua)?.nested()?;
    context.values.extend((*options.values).clone());
    let id = if id.contains(':') { id } else { format!("{}:{id}", host.function.namespace()) };
    let (args, bytes) = match host.runtime.signature(&id)? {
        Some(signature) => {
            let (vals, bytes) = value::to_vals(lua, args, &signature)?;
            (Payload::Vals(vals), bytes)
        }
        None => {
            let (mut jsons, mut bytes) = (Vec::new(), 0);
            for (at, arg) in args.iter().enumerate() {
                let (json, more) = value::sized_json(lua, arg, &format!("args[{at}]"))?;
                jsons.push(json);
                bytes += more;
            }
            (Payload::Json(jsons), bytes)
        }
    };
    let held = held::hold(lua, bytes)?;
    let deadline = context.deadline;
    let options = CallOptions { timeout: options.timeout, ..CallOptions::default() }.with_context(context);
    Ok(Ready { runtime: host.runtime.clone(), id, args, options, deadline, held })
}

impl Ready {
    async fn run(self) -> Result<Answer, CallError> {
        let answer = self.runtime.call(&self.id, self.args, self.options).await;
        drop(self.held);
        let timed_out = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout);
        if timed_out && self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // The time of the whole chain is over: whoever ends this call is on the way, and its code has no say any more.
            return std::future::pending().await;
        }
        answer
    }
}

async fn call(lua: &Lua, id: String, args: &[Value], options: &Options) -> mlua::Result<(Value, Value)> {
    let answer = match ready(lua, id, args, options) {
        Ok(ready) => ready.run().await,
        Err(error) => Err(error),
    };
    outcome(lua, answer.and_then(|answer| result(lua, &answer)))
}

/// The result of a call as a value.
fn result(lua: &Lua, answer: &Answer) -> Result<Value, CallError> {
    let converted = match answer {
        Answer::Val(Some(val)) => value::from_val(lua, val),
        Answer::Json(json) => value::from_json(lua, json),
        Answer::Val(None) | Answer::Http => Ok(Value::Nil),
    };
    converted.map_err(|error| {
        known(&error).unwrap_or_else(|| CallError::new(ErrorKind::Internal, format!("the result: {error}")))
    })
}

/// Starts a call in the background. One that cannot be made is a future with an error.
fn start(lua: &Lua, id: String, args: &[Value], options: &Options) -> mlua::Result<(Option<Future>, Value)> {
    let ready = match ready(lua, id, args, options) {
        Ok(ready) => ready,
        Err(error) => return Ok((None, LuaError::new(lua, error)?.into_lua(lua)?)),
    };
    if Ledger::of(lua).is_some_and(|ledger| ledger.is_half_full()) {
        // Of results that nobody refers to any more.
        lua.gc_collect()?;
    }
    let progress = Arc::new(Progress::default());
    let (told, ledger) = (Arc::clone(&progress), Ledger::of(lua));
    let task = tokio::spawn(async move {
        let answer = ready.run().await;
        let held = ledger.map(|ledger| (ledger.hold(answer.as_ref().map_or(0, bytes)), ledger.max()));
        match held {
            Some((None, max)) => {
                let message = format!(
                    "the results of calls in the background that nobody has taken need more memory than \
                     limits.max_memory_bytes ({max})"
                );
                told.end(Err(CallError::new(ErrorKind::Internal, message)), None);
            }
            held => told.end(answer, held.and_then(|(held, _)| held)),
        }
    });
    Tasks::add(lua, task.abort_handle());
    Ok((Some(Future(Arc::new(Background { progress, task: task.abort_handle() }))), Value::Nil))
}

/// What an answer takes, in bytes.
fn bytes(answer: &Answer) -> u64 {
    match answer {
        Answer::Val(val) => val.as_ref().map_or(0, host_bytes),
        Answer::Json(json) => json_bytes(json),
        Answer::Http => 0,
    }
}

/// How far a call in the background is.
#[derive(Default)]
struct Progress {
    answer: OnceLock<(Result<Answer, CallError>, Option<Held>)>,
    ended: Notify,
}

impl Progress {
    fn end(&self, answer: Result<Answer, CallError>, held: Option<Held>) {
        self.answer.get_or_init(|| (answer, held));
        self.ended.notify_waiters();
    }

    async fn ended(&self) -> &Result<Answer, CallError> {
        loop {
            let ended = self.ended.notified();
            if let Some((answer, _)) = self.answer.get() {
                return answer;
            }
            ended.await;
        }
    }
}

/// A call in the background. It is cancelled when nobody can hear of it any more.
struct Background {
    progress: Arc<Progress>,
    task: AbortHandle,
}

impl Background {
    fn cancel(&self) {
        self.task.abort();
        self.progress.end(Err(CallError::new(ErrorKind::Canceled, "the call was canceled by its caller")), None);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What `funcs.async` gives.
#[derive(Clone)]
struct Future(Arc<Background>);

impl Future {
    /// A channel that gives the result, as a payload, and closes; one without a result only closes.
    fn response(&self) -> Channel {
        let background = Arc::clone(&self.0);
        let answered = async move {
            background.progress.ended().await.as_ref().ok()?;
            Some(Item::Made(Box::new(move |lua| Payloaded(Arc::clone(&background.progress)).into_lua(lua))))
        };
        Channel::fed(stream::once(answered.boxed()).filter_map(std::future::ready).boxed())
    }

    fn answer(&self) -> Option<&Result<Answer, CallError>> {
        self.0.progress.answer.get().map(|(answer, _)| answer)
    }
}

impl UserData for Future {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("response", |_, this, ()| Ok(this.response()));
        methods.add_method("channel", |_, this, ()| Ok(this.response()));
        methods.add_method("is_complete", |_, this, ()| Ok(this.answer().is_some()));
        methods.add_method("is_canceled", |_, this, ()| {
            Ok(matches!(this.answer(), Some(Err(error)) if error.kind() == ErrorKind::Canceled))
        });
        // Nothing and nothing while it runs.
        methods.add_method("result", |lua, this, ()| match this.answer() {
            Some(Ok(_)) => Ok((Payloaded(Arc::clone(&this.0.progress)).into_lua(lua)?, Value::Nil)),
            Some(Err(error)) => outcome(lua, Err(error.clone())),
            None => Ok((Value::Nil, Value::Nil)),
        });
        methods.add_method("error", |lua, this, ()| match this.answer() {
            Some(Err(error)) => Ok((Some(LuaError::new(lua, error.clone())?), true)),
            _ => Ok((None, false)),
        });
        methods.add_method("cancel", |_, this, ()| {
            this.0.cancel();
            Ok(())
        });
    }
}

/// A result, whose `data` is its value.
struct Payloaded(Arc<Progress>);

impl UserData for Payloaded {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("data", |lua, this, ()| match this.0.answer.get() {
            Some((Ok(answer), _)) => result(lua, answer).map_err(LuaError::raised),
            _ => Ok(Value::Nil),
        });
    }
}
