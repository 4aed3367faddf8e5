//! `http_client`: requests to what the entry's `network.allow` lists, by the same rules as those of WebAssembly functions.
//! Responses are read to their end; redirects are not followed.

use std::time::Duration;

use bytes::Bytes;
use greenroom_actors::{
    CallError, ErrorKind,
    wasm::{HttpClient, RESPONSE_BYTES_MAX},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{CONTENT_TYPE, Entry},
};
use mlua::{FromLua as _, Lua, LuaString, Table, Value};

use super::{Current, Host, outcome};
use crate::lua::{duration::Span, error::LuaError, held::Ledger, value};

/// The methods that have functions of their own.
const METHODS: [(&str, Method); 6] = [
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("head", Method::HEAD),
];

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    for (name, method) in METHODS {
        let send = move |lua, (url, options): (String, Option<Table>)| {
            let method = method.clone();
            async move { send(&lua, method, &url, options).await }
        };
        module.raw_set(name, lua.create_async_function(send)?)?;
    }
    let request = |lua, (method, url, options): (String, String, Option<Table>)| async move {
        let wrong =
            |_| LuaError::invalid(format!("`{method}` is no method of HTTP; write \"GET\", \"POST\" or another"));
        let known = Method::from_bytes(method.as_bytes()).map_err(wrong)?;
        send(&lua, known, &url, options).await
    };
    module.raw_set("request", lua.create_async_function(request)?)?;
    Ok(Value::Table(module))
}

/// What may be said about one request.
#[derive(Default)]
struct Options {
    headers: HeaderMap,
    /// Names and values to add to those of the URL.
    query: Vec<(String, String)>,
    body: Bytes,
    timeout: Option<Duration>,
    body_bytes_max: Option<usize>,
}

async fn send(lua: &Lua, method: Method, url: &str, options: Option<Table>) -> mlua::Result<(Value, Value)> {
    let mut options = options.map_or_else(|| Ok(Options::default()), |table| Options::read(lua, &table))?;
    let (timeout, max) = (options.timeout, options.body_bytes_max.unwrap_or(RESPONSE_BYTES_MAX));
    let sent = async {
        let mut request = Request::new(std::mem::take(&mut options.body));
        *request.method_mut() = method;
        *request.uri_mut() = uri(url, &options.query)?;
        *request.headers_mut() = std::mem::take(&mut options.headers);
        client(lua)?.send(request, &*Current::context(lua)?, timeout, max).await
    };
    match sent.await {
        Ok(response) => Ok((answer(lua, response)?, Value::Nil)),
        Err(error) => outcome(lua, Err(error)),
    }
}

/// That of the instance.
fn client(lua: &Lua) -> Result<HttpClient, CallError> {
    if let Some(client) = lua.app_data_ref::<HttpClient>() {
        return Ok(client.clone());
    }
    let client = Host::of(lua)?.client.for_instance();
    lua.set_app_data(client.clone());
    Ok(client)
}

fn uri(url: &str, query: &[(String, String)]) -> Result<Uri, CallError> {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let full = match query {
        [] => url.to_owned(),
        query => {
            let separator = if url.contains('?') { '&' } else { '?' };
            let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            format!("{url}{separator}{added}")
        }
    };
    full.parse().map_err(|error| {
        let message = format!("`{url}` is no URL ({error}); write `https://host/path`, with other characters encoded");
        CallError::new(ErrorKind::Invalid, message)
    })
}

/// What a request gives back.
fn answer(lua: &Lua, response: Response<Bytes>) -> mlua::Result<Value> {
    let (head, body) = response.into_parts();
    let headers = lua.create_table()?;
    for name in head.headers.keys() {
        let values: Vec<_> = head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        headers.raw_set(name.as_str(), lua.create_string(values.join(&b", "[..]))?)?;
    }
    let table = lua.create_table()?;
    table.raw_set("status", head.status.as_u16())?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", lua.create_string(body)?)?;
    let json = |lua: &Lua, response: Option<Table>| {
        let Some(response) = response else { return Err(LuaError::invalid("write `response:json()`, with a colon")) };
        let body: LuaString = response.raw_get("body")?;
        outcome(lua, value::parse_json(lua, &body.as_bytes(), "the response's body"))
    };
    table.raw_set("json", lua.create_function(json)?)?;
    Ok(Value::Table(table))
}

impl Options {
    fn read(lua: &Lua, table: &Table) -> mlua::Result<Self> {
        let mut options = Self::default();
        let mut has_body = None;
        for pair in table.pairs::<Value, Value>() {
            let (key, given) = pair?;
            let name = key.to_string()?;
            match (name.as_str(), given) {
                ("headers", Value::Table(headers)) => options.add_headers(&headers)?,
                ("query", Value::Table(query)) => options.query = pairs(&query, "query")?,
                ("body", Value::String(body)) => {
                    options.body = Bytes::copy_from_slice(&body.as_bytes());
                    has_body = only("body", has_body)?;
                }
                ("json", given) => {
                    let json = value::to_json(lua, &given, "json").map_err(LuaError::raised)?;
                    options.body = json.to_string().into();
                    has_body = only("json", has_body)?;
                }
                ("timeout", given) => options.timeout = Some(Span::from_lua(given, lua)?.0),
                ("max_body_bytes", Value::Integer(max)) if max >= 0 => {
                    let (max, most) = (max.unsigned_abs(), Ledger::of(lua).map_or(u64::MAX, |ledger| ledger.max()));
                    if max > most {
                        return Err(LuaError::invalid(format!(
                            "`max_body_bytes` is {max}, and the function may have limits.max_memory_bytes ({most}) in all"
                        )));
                    }
                    options.body_bytes_max = Some(usize::try_from(max).unwrap_or(usize::MAX));
                }
                ("headers" | "query", other) => {
                    let got = other.type_name();
                    return Err(LuaError::invalid(format!(
                        "`{name}` is a {got}; write `{name} = {{name = \"value\"}}`"
                    )));
                }
                ("body", other) => {
                    let got = other.type_name();
                    return Err(LuaError::invalid(format!("`body` is a {got}; write a string, or `json` for a table")));
                }
                ("max_body_bytes", _) => {
                    return Err(LuaError::invalid("`max_body_bytes` is a number of bytes: `max_body_bytes = 1048576`"));
                }
                _ => {
                    return Err(LuaError::invalid(format!(
                        "there is no option `{name}`; there are headers, query, body, json, timeout and max_body_bytes"
                    )));
                }
            }
        }
        if has_body == Some("json")
            && let Ok(Entry::Vacant(kind)) = options.headers.try_entry(CONTENT_TYPE)
        {
            kind.insert(HeaderValue::from_static("application/json"));
        }
        Ok(options)
    }

    fn add_headers(&mut self, table: &Table) -> mlua::Result<()> {
        for (name, text) in pairs(table, "headers")? {
            let known = HeaderName::from_bytes(name.as_bytes());
            let known = known.map_err(|_| LuaError::invalid(format!("headers: `{name}` is no name of a header")))?;
            let value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| {
                LuaError::invalid(format!("headers: the value of `{name}` has characters that no header may have"))
            })?;
            let fits = self.headers.try_append(known, value);
            fits.map_err(|_| LuaError::invalid("headers: there are too many"))?;
        }
        Ok(())
    }
}

/// A request has one body.
fn only(name: &'static str, before: Option<&'static str>) -> mlua::Result<Option<&'static str>> {
    match before {
        None => Ok(Some(name)),
        Some(_) => Err(LuaError::invalid("a request has a `body` or a `json`, not both")),
    }
}

/// Names with a value or a list of values.
fn pairs(table: &Table, field: &str) -> mlua::Result<Vec<(String, String)>> {
    let text = |name: &str, value: &Value| match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => value.to_string(),
        other => {
            let got = other.type_name();
            Err(LuaError::invalid(format!(
                "{field}: `{name}` is a {got}; write a string, a number, or a list of these"
            )))
        }
    };
    let mut found = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (Value::String(name), value) = pair? else {
            return Err(LuaError::invalid(format!("{field}: write `{field} = {{name = \"value\"}}`")));
        };
        let name = name.to_string_lossy();
        match &value {
            Value::Table(values) => {
                for value in values.sequence_values::<Value>() {
                    found.push((name.clone(), text(&name, &value?)?));
                }
            }
            value => found.push((name.clone(), text(&name, value)?)),
        }
    }
    // Tables have no order of their own.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}
