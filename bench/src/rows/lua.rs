//! What a function in Lua adds to a call of a function in WebAssembly that it makes, against the same call from Rust: one
//! caller each, on the guest threads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom::lua::{LuaFile, LuaFunction, MEMORY_BYTES, Module};
use greenroom_actors::{
    CallOptions,
    spec::{Code, FunctionId, FunctionSpec, Limits},
};
use serde_json::{Value, json};

use super::{
    Figure, Row, Sides, Target,
    calls::{pool, reuse},
};
use crate::{
    guests::Guest,
    lab::Lab,
    load,
    ours::{EXECUTION_MAX, TIMEOUT, Tree, function},
};

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(LuaCall)]
}

/// Calls that one call of the function in Lua makes, so that its own call is a small part.
const CALLS: u64 = 100;

const SOURCE: &str = "local calls, id, name = ...\n\
    for _ = 1, calls do\n  local greeting, err = funcs.call(id, name)\n  if not greeting then error(err) end\nend";

struct LuaCall;

impl Row for LuaCall {
    fn name(&self) -> String {
        "lua-call".to_owned()
    }

    fn about(&self) -> String {
        "a call of `greet` on a fresh instance that a function in Lua makes, by `funcs.call`; a hundred in turn"
            .to_owned()
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "the same call from a task in Rust";
        vec![Figure { name: self.name(), unit: "µs", baseline, target: Target::RatioAtMost(2.5) }]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let greet = FunctionId::new("bench", Guest::Greet.method())?;
        let file = LuaFile {
            name: "caller.lua".to_owned(),
            text: SOURCE.into(),
            modules: [Module::Funcs].into(),
            imports: Default::default(),
        };
        let caller = LuaFunction {
            file: Arc::new(file),
            method: "main".to_owned(),
            network: Default::default(),
            environment: Default::default(),
            hosts: Default::default(),
            reuse: 1,
        };
        let caller = FunctionSpec {
            id: FunctionId::new("bench", "caller")?,
            code: Code::Language(Arc::new(caller)),
            pool: pool(1),
            limits: Limits { max_execution: Some(EXECUTION_MAX), max_memory_bytes: MEMORY_BYTES, ..Limits::default() },
        };
        let functions = vec![function(greet.clone(), Guest::Greet, pool(1), reuse(true)), caller];
        Ok(Box::new(Chain { lab, tree: Tree::start(lab, "lua-call", functions)?, greet }))
    }
}

struct Chain<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    greet: FunctionId,
}

impl Sides for Chain<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        let runtime = self.tree.runtime().clone();
        let counted = load::tasks(self.lab, Some(self.tree.runtime()), 1, time, |mut window| {
            let (runtime, id) = (runtime.clone(), self.greet.to_string());
            async move {
                while window.is_open() {
                    let args: Vec<Value> = vec![json!(CALLS), json!(id), json!("World")];
                    let began = Instant::now();
                    runtime.call_json("bench:caller", args, CallOptions::timeout(TIMEOUT)).await?;
                    window.count_since(began);
                }
                Ok(window)
            }
        })?;
        Ok(vec![counted.latency(0.5)? * 1e6 / CALLS as f64])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        let ids = std::slice::from_ref(&self.greet);
        let counted = self.tree.in_a_loop(ids, Guest::Greet, 1, time, true)?;
        Ok(vec![Some(counted.latency(0.5)? * 1e6)])
    }
}
