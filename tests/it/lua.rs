//! Functions in Lua: what they may use of the runtime.

mod http;
mod http_client;
mod process;

use std::sync::Arc;

use greenroom::{
    Runtime,
    lua::{LuaFile, LuaFunction, MEMORY_BYTES, Module},
    spec::{Code, FunctionSpec, Limits, PoolSpec},
};
use serde_json::Value;

use crate::http::id;

/// A function whose file uses modules, in the namespace `test`.
pub fn function(name: &str, modules: &[Module], text: &str) -> LuaFunction {
    let file = LuaFile {
        name: format!("{name}.lua"),
        text: text.into(),
        modules: modules.iter().copied().collect(),
        imports: Default::default(),
    };
    LuaFunction {
        file: Arc::new(file),
        method: "main".to_owned(),
        network: Default::default(),
        environment: Default::default(),
        hosts: Default::default(),
        reuse: 1,
    }
}

/// The same, ready for a runtime.
pub fn spec(name: &str, function: LuaFunction) -> FunctionSpec {
    FunctionSpec {
        id: id(name),
        code: Code::Language(Arc::new(function)),
        pool: PoolSpec::lazy(8),
        limits: Limits { max_memory_bytes: MEMORY_BYTES, ..Limits::default() },
    }
}

/// What a function gives for arguments, or its error in words: `kind: message`.
pub async fn call(runtime: &Runtime, name: &str, args: Value) -> Value {
    let Value::Array(args) = args else { panic!("arguments are a list") };
    let result = runtime.call_json(&format!("test:{name}"), args, Default::default()).await;
    result.unwrap_or_else(|error| Value::String(format!("{}: {error}", error.kind())))
}
