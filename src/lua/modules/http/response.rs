//! The response as Lua sees it.

use std::sync::Arc;

use greenroom_actors::CallError;
use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use mlua::{Lua, LuaString, UserData, UserDataMethods, Value};

use super::{Exchange, outcome, result::kind};
use crate::{
    http::{final_status, header},
    lua::{error::LuaError, value},
};

/// What `http.response()` gives.
#[derive(Clone)]
pub(super) struct Response(pub(super) Arc<Exchange>);

/// A header that may be set. Lengths are counted by the server.
fn settable(name: &[u8], value: &Value) -> mlua::Result<(HeaderName, HeaderValue)> {
    let value = match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(_) | Value::Number(_) => value.to_string()?.into_bytes(),
        other => {
            let (name, got) = (String::from_utf8_lossy(name), other.type_name());
            return Err(LuaError::invalid(format!("the header `{name}` is given a {got}; write a string")));
        }
    };
    match header(name, value.into()) {
        Ok((name, _)) if name == CONTENT_LENGTH => {
            Err(LuaError::invalid("the header `content-length` is the server's business, which counts what is written"))
        }
        known => known.map_err(|error| LuaError::invalid(error.to_string())),
    }
}

/// What came of writing: true, or nothing and why nobody gets it.
fn written(lua: &Lua, result: Result<(), CallError>) -> mlua::Result<(Value, Value)> {
    outcome(lua, result.map(|()| Value::Boolean(true)))
}

impl UserData for Response {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("set_status", |_, this, status: i64| {
            let status = final_status(status.into()).map_err(|error| LuaError::invalid(error.to_string()))?;
            this.0.set_status(status).map_err(LuaError::raised)
        });
        methods.add_method("set_header", |_, this, (name, value): (LuaString, Value)| {
            this.0.set_header(settable(&name.as_bytes(), &value)?, false).map_err(LuaError::raised)
        });
        methods.add_method("add_header", |_, this, (name, value): (LuaString, Value)| {
            this.0.set_header(settable(&name.as_bytes(), &value)?, true).map_err(LuaError::raised)
        });
        methods.add_method("set_content_type", |_, this, kind: Value| {
            this.0.set_header(settable(CONTENT_TYPE.as_str().as_bytes(), &kind)?, false).map_err(LuaError::raised)
        });
        methods.add_async_method("write", |lua, this, text: LuaString| async move {
            let exchange = Arc::clone(&this.0);
            drop(this);
            let text = text.as_bytes().to_vec();
            let done = exchange.write(&text, kind(&text)).await;
            written(&lua, done)
        });
        methods.add_async_method("write_json", |lua, this, given: Value| async move {
            let exchange = Arc::clone(&this.0);
            drop(this);
            let done = match value::to_json(&lua, &given, "value") {
                Ok(json) => exchange.write(json.to_string().as_bytes(), "application/json").await,
                Err(error) => Err(error),
            };
            written(&lua, done)
        });
        methods.add_async_method("flush", |lua, this, ()| async move {
            let exchange = Arc::clone(&this.0);
            drop(this);
            let done = exchange.flush().await;
            written(&lua, done)
        });
    }
}
