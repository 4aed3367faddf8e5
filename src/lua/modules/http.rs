//! `http`: the request and the response of the endpoint that called, and names for statuses and methods.
//!
//! What is done with them is in `exchange`; a result that makes the response, in `result`.

mod exchange;
mod request;
mod response;
mod result;

use std::sync::Arc;

use greenroom_actors::{CallError, ErrorKind};
use http::StatusCode;
use mlua::{IntoLua, Lua, Table, Value};

pub(in crate::lua) use self::exchange::Exchange;
use self::{request::Request, response::Response};
use super::outcome;
use crate::lua::error::LuaError;

/// The methods that have names of their own.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let request = |lua: &Lua, ()| match current(lua) {
        Ok(exchange) => Ok((Request(exchange).into_lua(lua)?, Value::Nil)),
        Err(error) => outcome(lua, Err(error)),
    };
    module.raw_set("request", lua.create_function(request)?)?;
    let response = |lua: &Lua, ()| match current(lua) {
        Ok(exchange) => Ok((Response(exchange).into_lua(lua)?, Value::Nil)),
        Err(error) => outcome(lua, Err(error)),
    };
    module.raw_set("response", lua.create_function(response)?)?;
    module.raw_set("STATUS", names(lua, "status", |lua, name| status(name).into_lua(lua))?)?;
    let method = |lua: &Lua, name: &str| METHODS.into_iter().find(|known| *known == name).into_lua(lua);
    module.raw_set("METHOD", names(lua, "method", method)?)?;
    Ok(Value::Table(module))
}

/// What the call that runs is about.
fn current(lua: &Lua) -> Result<Arc<Exchange>, CallError> {
    lua.app_data_ref::<Arc<Exchange>>().map(|exchange| Arc::clone(&exchange)).ok_or_else(|| {
        CallError::new(ErrorKind::NotFound, "there is no request: this call came by no endpoint, but with arguments")
    })
}

/// A table that finds values by names, and raises for names that mean nothing.
fn names(lua: &Lua, what: &'static str, find: fn(&Lua, &str) -> mlua::Result<Value>) -> mlua::Result<Table> {
    let index = move |lua: &Lua, (_, name): (Table, String)| match find(lua, &name)? {
        Value::Nil => Err(LuaError::invalid(format!("there is no {what} `{name}`"))),
        found => Ok(found),
    };
    let metatable = lua.create_table()?;
    metatable.raw_set("__index", lua.create_function(index)?)?;
    metatable.raw_set("__metatable", false)?;
    let table = lua.create_table()?;
    table.set_metatable(Some(metatable))?;
    Ok(table)
}

/// `NOT_FOUND` is 404.
fn status(name: &str) -> Option<u16> {
    let named = |code: &u16| {
        let reason = StatusCode::from_u16(*code).ok().and_then(|status| status.canonical_reason());
        reason.is_some_and(|reason| {
            let letters = reason.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
            letters.eq(name.chars())
        })
    };
    (100..600).find(named)
}
