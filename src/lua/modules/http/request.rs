//! The request as Lua sees it.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_actors::{CallError, ErrorKind};
use http::{
    HeaderName,
    header::{CONTENT_TYPE, COOKIE, HOST},
};
use mlua::{Lua, LuaString, Table, UserData, UserDataMethods, Value};

use super::{Exchange, outcome};
use crate::{
    http::{Client, PathParams, QueryPairs, query_pairs},
    lua::value,
};

/// What `http.request()` gives.
#[derive(Clone)]
pub(super) struct Request(pub(super) Arc<Exchange>);

impl Request {
    /// The values of a header, as one.
    fn header(&self, name: &HeaderName) -> Option<Bytes> {
        let mut values = self.0.head.headers.get_all(name).iter();
        let mut joined = values.next()?.as_bytes().to_vec();
        for value in values {
            joined.extend_from_slice(if *name == COOKIE { b"; " } else { b", " });
            joined.extend_from_slice(value.as_bytes());
        }
        Some(joined.into())
    }

    fn query(&self) -> Result<QueryPairs<'_>, CallError> {
        let query = self.0.head.uri.query().unwrap_or_default();
        query_pairs(query).map_err(|error| CallError::new(ErrorKind::Invalid, error.to_string()))
    }

    fn params(&self) -> &[(String, String)] {
        self.0.head.extensions.get::<PathParams>().map_or(&[], |params| &params.0)
    }

    fn host(&self) -> Option<String> {
        let named = || self.header(&HOST).map(|host| String::from_utf8_lossy(&host).into_owned());
        self.0.head.uri.authority().map(|authority| authority.as_str().to_owned()).or_else(named)
    }
}

fn text(lua: &Lua, text: Option<impl AsRef<[u8]>>) -> mlua::Result<Value> {
    text.map_or(Ok(Value::Nil), |text| lua.create_string(text).map(Value::String))
}

/// Of several values of one name, the last one stays.
fn table<'p>(lua: &Lua, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    pairs.into_iter().try_for_each(|(name, value)| table.raw_set(name, value))?;
    Ok(table)
}

impl UserData for Request {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("method", |_, this, ()| Ok(this.0.head.method.as_str().to_owned()));
        methods.add_method("path", |_, this, ()| Ok(this.0.head.uri.path().to_owned()));
        methods.add_method("query", |lua, this, name: Option<String>| {
            let pairs = match this.query() {
                Ok(pairs) => pairs,
                Err(error) => return outcome(lua, Err(error)),
            };
            let found = match name {
                Some(name) => {
                    text(lua, pairs.iter().rfind(|(known, _)| **known == *name).map(|(_, value)| value.as_bytes()))
                }
                None => table(lua, pairs.iter().map(|(name, value)| (&**name, &**value))).map(Value::Table),
            };
            Ok((found?, Value::Nil))
        });
        // Every value of a name, in their order.
        methods.add_method("query_all", |lua, this, name: String| {
            let found = this.query().map(|pairs| {
                let values = pairs.iter().filter(|(known, _)| **known == *name).map(|(_, value)| &**value);
                lua.create_sequence_from(values).map(Value::Table)
            });
            match found {
                Ok(values) => Ok((values?, Value::Nil)),
                Err(error) => outcome(lua, Err(error)),
            }
        });
        // One that no header can have is that of none.
        methods.add_method("header", |lua, this, name: LuaString| {
            text(lua, HeaderName::from_bytes(&name.as_bytes()).ok().and_then(|name| this.header(&name)))
        });
        methods.add_method("headers", |lua, this, ()| {
            let table = lua.create_table()?;
            for name in this.0.head.headers.keys() {
                table.raw_set(name.as_str(), text(lua, this.header(name))?)?;
            }
            Ok(table)
        });
        methods.add_method("param", |lua, this, name: String| {
            text(lua, this.params().iter().find(|(known, _)| *known == name).map(|(_, value)| value))
        });
        methods.add_method("params", |lua, this, ()| {
            table(lua, this.params().iter().map(|(name, value)| (name.as_str(), value.as_str())))
        });
        methods.add_method("content_type", |lua, this, ()| text(lua, this.header(&CONTENT_TYPE)));
        methods.add_method("host", |lua, this, ()| text(lua, this.host()));
        // Whom the connection, or a proxy that is trusted, says that the request is from.
        methods.add_method("remote_addr", |_, this, ()| {
            Ok(this.0.head.extensions.get::<Client>().map(|client| client.ip.to_string()))
        });
        methods.add_async_method("body", |lua, this, ()| async move {
            let exchange = Arc::clone(&this.0);
            drop(this);
            match exchange.body().await {
                Ok(body) => Ok((Value::String(lua.create_string(body)?), Value::Nil)),
                Err(error) => outcome(&lua, Err(error)),
            }
        });
        methods.add_async_method("body_json", |lua, this, ()| async move {
            let exchange = Arc::clone(&this.0);
            drop(this);
            let json = exchange.body().await.and_then(|body| value::parse_json(&lua, &body, "the request's body"));
            outcome(&lua, json)
        });
    }
}
