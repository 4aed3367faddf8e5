//! `process`: programs that are spawned and watched, and killed. They outlive the call that spawned them, which hears of
//! their ends while it lasts.

use std::sync::Arc;

use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
    stream,
};
use greenroom_actors::{CallError, Context, ErrorKind, Exit, Process, ProcessOptions};
use mlua::{IntoLua as _, Lua, Value, Variadic};

use super::{Current, Host, outcome};
use crate::lua::{
    channel::{Channel, Item},
    error::LuaError,
};

/// The `kind` of the events that a process has ended.
const EXIT: &str = "pid.exit";

/// Processes that one call may spawn.
const SPAWNED_MAX: usize = 1_000;

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let spawn = |lua: &Lua, (id, args): (String, Variadic<Value>)| match spawn(lua, id, &args) {
        Ok(pid) => Ok((pid.into_lua(lua)?, Value::Nil)),
        Err(error) => outcome(lua, Err(error)),
    };
    module.raw_set("spawn_monitored", lua.create_function(spawn)?)?;
    module.raw_set("events", lua.create_function(|lua, ()| Watched::of(lua, |watched| watched.events.clone()))?)?;
    let kill = |lua: &Lua, pid: String| match Watched::of(lua, |watched| watched.find(&pid))? {
        Some(process) => {
            process.kill();
            Ok((Value::Boolean(true), Value::Nil))
        }
        None => {
            let message = format!("`{pid}` is the pid of no process that this call has spawned");
            outcome(lua, Err(CallError::new(ErrorKind::NotFound, message)))
        }
    };
    module.raw_set("kill", lua.create_function(kill)?)?;
    let event = lua.create_table()?;
    event.raw_set("EXIT", EXIT)?;
    module.raw_set("event", event)?;
    Ok(Value::Table(module))
}

/// The processes of one call.
struct Watched {
    call: Arc<Context>,
    spawned: Vec<Process>,
    /// To the channel of events.
    sender: UnboundedSender<Process>,
    events: Channel,
}

impl Watched {
    fn new(call: Arc<Context>) -> Self {
        let (sender, spawned) = unbounded::<Process>();
        let exits = spawned.flat_map_unordered(None, |process| {
            stream::once(Box::pin(async move {
                let exit = process.exited().await;
                Item::Made(Box::new(move |lua| event(lua, exit)))
            }))
        });
        Self { call, spawned: Vec::new(), sender, events: Channel::fed(exits.boxed()) }
    }

    /// Those of the call that runs. An instance may have run others before.
    fn of<T>(lua: &Lua, then: impl FnOnce(&mut Self) -> T) -> mlua::Result<T> {
        let call = Current::context(lua).map_err(LuaError::raised)?;
        if !lua.app_data_ref::<Self>().is_some_and(|watched| Arc::ptr_eq(&watched.call, &call)) {
            lua.set_app_data(Self::new(call));
        }
        let watched = lua.app_data_mut::<Self>();
        watched.map(|mut watched| then(&mut watched)).ok_or_else(|| mlua::Error::runtime("no call runs"))
    }

    fn find(&self, pid: &str) -> Option<Process> {
        self.spawned.iter().find(|process| process.pid().to_string() == pid).cloned()
    }
}

fn spawn(lua: &Lua, id: String, args: &[Value]) -> Result<String, CallError> {
    let host = Host::of(lua)?;
    let is_host = |arg: &Value| match arg {
        Value::String(text) => text.to_str().is_ok_and(|text| host.hosts.contains(&*text)),
        _ => false,
    };
    let args = match args {
        [first, rest @ ..] if is_host(first) => rest,
        args => args,
    };
    let args = args.iter().enumerate().map(|(at, arg)| argument(at, arg)).collect::<Result<_, _>>()?;
    let watched = |error: mlua::Error| CallError::new(ErrorKind::Internal, error.to_string());
    if Watched::of(lua, |watched| watched.spawned.len()).map_err(watched)? >= SPAWNED_MAX {
        let message = format!("this call has spawned {SPAWNED_MAX} processes, and spawns no more");
        return Err(CallError::new(ErrorKind::PermissionDenied, message));
    }
    // It goes on when the call and its deadline are over.
    let context = Context { deadline: None, ..Current::context(lua)?.nested()? };
    let id = if id.contains(':') { id } else { format!("{}:{id}", host.function.namespace()) };
    let process = host.runtime.spawn(&id, ProcessOptions { args, context, ..ProcessOptions::default() })?;
    let pid = process.pid().to_string();
    Watched::of(lua, |watched| {
        watched.spawned.push(process.clone());
        // The channel has gone when nobody can receive from it any more.
        drop(watched.sender.unbounded_send(process));
    })
    .map_err(watched)?;
    Ok(pid)
}

/// An argument of a program, which is a text.
fn argument(at: usize, value: &Value) -> Result<String, CallError> {
    let invalid = |got: &str| {
        let message = format!("args[{at}] is {got}; a program's arguments are strings, numbers and booleans");
        CallError::new(ErrorKind::Invalid, message)
    };
    match value {
        Value::String(text) => match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(invalid("a string that is not UTF-8")),
        },
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        // As Lua writes it.
        Value::Number(_) => value.to_string().map_err(|error| invalid(&error.to_string())),
        other => Err(invalid(&format!("a {}", other.type_name()))),
    }
}

/// `{kind = process.event.EXIT, from = pid, result = {value = code, error = err}}`.
fn event(lua: &Lua, exit: Exit) -> mlua::Result<Value> {
    let result = lua.create_table()?;
    match exit.result {
        Ok(code) => result.raw_set("value", code)?,
        Err(error) => result.raw_set("error", LuaError::new(lua, error)?.into_lua(lua)?)?,
    }
    let event = lua.create_table()?;
    event.raw_set("kind", EXIT)?;
    event.raw_set("from", exit.pid.to_string())?;
    event.raw_set("result", result)?;
    Ok(Value::Table(event))
}
