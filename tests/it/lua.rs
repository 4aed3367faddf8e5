//! Functions in Lua, from registries: what files may look like, and what they may use of the runtime.

mod channels;
mod checked;
mod deadlines;
mod errors;
mod files;
mod funcs;
mod http;
mod http_client;
mod modules;
mod process;
mod sandbox;
mod values;

use greenroom::{CallError, CallOptions, Runtime};
use serde_json::Value;

use crate::registry::Root;

/// A registry with one function in Lua, `myns:f`, with this source and these further fields.
pub fn lua(fields: &str, source: &str) -> Root {
    Root::with(&entry("f", fields, source))
}

/// The same as YAML, with `entries:` before it.
pub fn entry(name: &str, fields: &str, source: &str) -> String {
    format!("entries:\n{}", item(name, fields, source))
}

/// One more function.
pub fn item(name: &str, fields: &str, source: &str) -> String {
    let mut yaml = format!("  - name: {name}\n    kind: function.lua\n");
    fields.lines().for_each(|line| yaml.push_str(&format!("    {}\n", line.trim_end())));
    yaml.push_str("    source: |\n");
    source.lines().for_each(|line| yaml.push_str(&format!("      {line}\n")));
    yaml
}

/// A runtime of a registry, with a name of its own.
pub async fn start(name: &str, root: &Root) -> Runtime {
    let started = Runtime::builder().registry(root.path()).name(format!("lua-{name}")).guest_threads(2).start().await;
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// What `myns:f` gives for arguments.
pub async fn call(runtime: &Runtime, args: Value) -> Result<Value, CallError> {
    let Value::Array(args) = args else { panic!("arguments are a list") };
    let call = runtime.call_json("myns:f", args, CallOptions::default());
    tokio::time::timeout(crate::http::PATIENCE, call).await.expect("every call is answered")
}

/// What the function with this source and these fields gives for arguments.
pub async fn once(name: &str, fields: &str, source: &str, args: Value) -> Result<Value, CallError> {
    let root = lua(fields, source);
    let runtime = start(name, &root).await;
    call(&runtime, args).await
}
