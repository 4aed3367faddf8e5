//! `env.get(name)`: the value of a variable of the registry, by its public name or its id.

use greenroom_actors::{CallError, ErrorKind};
use mlua::{Lua, Value};

use super::{Host, outcome};

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let get = |lua, name: String| async move {
        let found = look_up(&lua, name).await;
        match found {
            Ok(Some(text)) => Ok((Value::String(lua.create_string(text)?), Value::Nil)),
            Ok(None) => Ok((Value::Nil, Value::Nil)),
            Err(error) => outcome(&lua, Err(error)),
        }
    };
    module.raw_set("get", lua.create_async_function(get)?)?;
    Ok(Value::Table(module))
}

/// Nothing is a variable without a value.
async fn look_up(lua: &Lua, name: String) -> Result<Option<String>, CallError> {
    let host = Host::of(lua)?;
    let environment = std::sync::Arc::clone(&host.environment);
    // A storage may be a file.
    let found = tokio::task::spawn_blocking(move || environment.get(&name)).await;
    let found = found.map_err(|_| CallError::new(ErrorKind::Unavailable, "the runtime is shutting down"))?;
    found.map_err(|error| CallError::new(ErrorKind::NotFound, error.to_string()))
}
