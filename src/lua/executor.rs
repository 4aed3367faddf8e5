//! Instances of functions in Lua, and the calls that they run.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Instant};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use greenroom_actors::{
    Answer, CallError, Context, ErrorKind, HttpRequest, Payload, WeakRuntime,
    executor::{Executor, Instance},
    spec::{FunctionId, Limits},
    wasm::GuestLog,
};
use mlua::{MultiValue, Value};
use serde_json::Value as Json;

use super::{
    LuaFunction, Module,
    error::{known, plain, uncaught},
    held::Ledger,
    modules::{Current, Exchange, Host, Tasks},
    source::Chunk,
    turn::Turning,
    value,
    vm::{Spawned, Vm},
};

/// Makes instances of one function.
pub(super) struct LuaExecutor {
    chunk: Arc<Chunk>,
    method: Arc<str>,
    reuse: u32,
    limits: Limits,
    host: Arc<Host>,
}

impl LuaExecutor {
    pub(super) fn new(
        id: &FunctionId,
        function: &LuaFunction,
        limits: &Limits,
        chunk: Arc<Chunk>,
        runtime: &WeakRuntime,
    ) -> Self {
        let host = Host {
            function: id.clone(),
            runtime: runtime.clone(),
            environment: Arc::clone(&function.environment),
            log: GuestLog::new(id),
            client: runtime.engine().http_client(id, &function.network),
            hosts: Arc::clone(&function.hosts),
        };
        Self {
            chunk,
            method: function.method.as_str().into(),
            reuse: function.reuse,
            limits: limits.clone(),
            host: Arc::new(host),
        }
    }
}

impl Executor for LuaExecutor {
    fn handles_http(&self) -> bool {
        self.chunk.modules.contains(&Module::Http)
    }

    fn takes_arguments(&self) -> bool {
        true
    }

    fn reuse(&self) -> u32 {
        self.reuse
    }

    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        Box::pin(async {
            let vm = Vm::new(&self.chunk, &self.method, self.limits.max_memory_bytes).map_err(|error| {
                CallError::new(ErrorKind::Internal, format!("no VM of Lua can be made: {}", plain(&error)))
            })?;
            vm.lua.set_app_data(Arc::clone(&self.host));
            vm.lua.set_app_data(Ledger::new(self.limits.max_memory_bytes));
            Ok(Box::new(LuaInstance { vm, limits: self.limits.clone() }) as Box<dyn Instance>)
        })
    }
}

struct LuaInstance {
    vm: Vm,
    limits: Limits,
}

impl Instance for LuaInstance {
    fn run<'a>(&'a mut self, args: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            let limit = self.limits.max_execution.and_then(|max| Instant::now().checked_add(max));
            self.vm.turns.call(limit.into_iter().chain(context.deadline).min());
            self.vm.lua.set_app_data(Current(Arc::clone(context)));
            self.vm.lua.set_app_data(Tasks::default());
            let ended = match args {
                Payload::Json(args) => self.answer(&args).await.map(Answer::Json),
                Payload::Http(request) => self.respond(*request).await.map(|()| Answer::Http),
                Payload::Vals(_) => Err(CallError::new(ErrorKind::Invalid, "this function takes JSON arguments")),
            };
            // What the call left in the background ends with it.
            self.vm.lua.remove_app_data::<Tasks>();
            ended
        })
    }

    fn memory_bytes(&self) -> u64 {
        self.vm.lua.used_memory() as u64
    }
}

impl LuaInstance {
    /// Calls the function, for a result as JSON.
    async fn answer(&self, args: &[Json]) -> Result<Json, CallError> {
        let lua = &self.vm.lua;
        let args = args.iter().map(|arg| value::from_json(lua, arg)).collect::<mlua::Result<MultiValue>>();
        let args = args.map_err(|error| self.failed(&error))?;
        let result = returned(self.call(args).await?)?;
        // What a function returns is its own doing.
        let json = value::to_json(lua, &result, "result")
            .map_err(|error| CallError::new(ErrorKind::Internal, error.message()))?;
        let max = self.limits.max_result_bytes;
        match size(&json) > max {
            true => {
                let message = format!("the result is larger than limits.max_result_bytes ({max})");
                Err(CallError::new(ErrorKind::Internal, message))
            }
            false => Ok(json),
        }
    }

    /// Calls the function, which handles the request.
    async fn respond(&self, request: HttpRequest) -> Result<(), CallError> {
        let lua = &self.vm.lua;
        let exchange = Exchange::open(request);
        lua.set_app_data(Arc::clone(&exchange));
        let done = match self.call(MultiValue::new()).await.and_then(returned) {
            Ok(result) => exchange.finish(lua, &result, self.limits.max_result_bytes).await,
            Err(error) => Err(error),
        };
        exchange.close(done.is_ok());
        lua.remove_app_data::<Arc<Exchange>>();
        done
    }

    /// Runs the function in a coroutine, and those that it spawns beside it, until the function has ended.
    async fn call(&self, args: MultiValue) -> Result<MultiValue, CallError> {
        let Vm { lua, turns, start } = &self.vm;
        let spawned = Spawned::new(lua);
        let main = lua.create_thread(start.clone()).and_then(|thread| thread.into_async::<MultiValue>(args));
        let mut main = pin!(Turning::new(main.map_err(|error| self.failed(&error))?, turns));
        let mut others: FuturesUnordered<Turning> = FuturesUnordered::new();
        let mut others_first = false;
        let ended = poll_fn(|cx| {
            turns.begin();
            others_first = !others_first;
            // In turns: whoever computes would leave nothing of it to the others.
            if (others.is_empty() || !others_first)
                && let Poll::Ready(ended) = main.as_mut().poll(cx)
            {
                return Poll::Ready(ended);
            }
            others.extend(spawned.take().into_iter().map(|thread| Turning::new(thread, turns)));
            loop {
                match others.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(ended))) if ended.front() != Some(&Value::Boolean(true)) => {
                        return Poll::Ready(Ok(ended));
                    }
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
            if !others.is_empty()
                && others_first
                && let Poll::Ready(ended) = main.as_mut().poll(cx)
            {
                return Poll::Ready(ended);
            }
            if !spawned.is_empty() {
                // Those that were spawned now have their first turn in the next.
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let ended = ended.await;
        if turns.are_late() {
            return std::future::pending().await;
        }
        let mut ended = ended.map_err(|error| self.failed(&error))?;
        match (ended.pop_front(), ended.front()) {
            (Some(Value::Boolean(true)), _) => Ok(ended),
            (_, Some(Value::Table(raised))) => {
                let error: Value = raised.raw_get(1).unwrap_or(Value::Nil);
                let traceback: Option<String> = raised.raw_get(2).ok();
                Err(self.in_words(uncaught(&error, traceback.unwrap_or_default().trim())))
            }
            (_, error) => Err(self.in_words(uncaught(error.unwrap_or(&Value::Nil), ""))),
        }
    }

    /// What went wrong where nothing of the file could catch it.
    fn failed(&self, error: &mlua::Error) -> CallError {
        self.in_words(known(error).unwrap_or_else(|| CallError::new(ErrorKind::Internal, plain(error))))
    }

    /// Names the limit that was met.
    fn in_words(&self, error: CallError) -> CallError {
        if error.kind() != ErrorKind::Internal || !error.message().contains("not enough memory") {
            return error;
        }
        let max = self.limits.max_memory_bytes;
        CallError::new(
            ErrorKind::Internal,
            format!("the function needs more memory than limits.max_memory_bytes ({max})"),
        )
    }
}

/// What a function returned, which may be `nil, err`, as functions that fail do.
fn returned(results: MultiValue) -> Result<Value, CallError> {
    let mut results = results.into_iter();
    let (result, error) = (results.next().unwrap_or(Value::Nil), results.next().unwrap_or(Value::Nil));
    if result.is_nil() && !error.is_nil() { Err(uncaught(&error, "")) } else { Ok(result) }
}

/// The size of a value in bytes, about as JSON text.
fn size(json: &Json) -> u64 {
    match json {
        Json::String(text) => text.len() as u64 + 2,
        Json::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<u64>(),
        Json::Object(fields) => 2 + fields.iter().map(|(name, value)| name.len() as u64 + 4 + size(value)).sum::<u64>(),
        _ => 4,
    }
}
