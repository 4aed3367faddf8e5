//! `time`: `sleep(d)`, `after(d)` for a channel that gives the time once, `now()`, and constants in milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt as _, stream};
use mlua::{IntoLua as _, Lua, MetaMethod, UserData, UserDataMethods, UserDataRef, Value};

use crate::lua::{
    channel::{Channel, Item},
    duration::Span,
};

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    for (name, milliseconds) in [("MILLISECOND", 1), ("SECOND", 1_000), ("MINUTE", 60_000), ("HOUR", 3_600_000)] {
        module.raw_set(name, milliseconds)?;
    }
    let sleep = |_, Span(span)| async move {
        tokio::time::sleep(span).await;
        Ok(())
    };
    module.raw_set("sleep", lua.create_async_function(sleep)?)?;
    let after = |_: &Lua, Span(span)| {
        let slept = tokio::time::sleep(span);
        let moment = stream::once(async move {
            slept.await;
            Item::Made(Box::new(|lua| Moment::now().into_lua(lua)))
        });
        Ok(Channel::fed(moment.boxed()))
    };
    module.raw_set("after", lua.create_function(after)?)?;
    module.raw_set("now", lua.create_function(|_, ()| Ok(Moment::now()))?)?;
    Ok(Value::Table(module))
}

/// A moment of the wall clock.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Moment(Duration);

impl Moment {
    fn now() -> Self {
        // Clocks before 1970 are set wrong.
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl UserData for Moment {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("unix", |_, this, ()| Ok(this.0.as_secs()));
        methods.add_method("unix_milli", |_, this, ()| Ok(i64::try_from(this.0.as_millis()).unwrap_or(i64::MAX)));
        methods.add_method("unix_nano", |_, this, ()| Ok(i64::try_from(this.0.as_nanos()).unwrap_or(i64::MAX)));
        // Milliseconds since an earlier moment, with their fraction.
        methods.add_method("sub", |_, this, earlier: UserDataRef<Self>| Ok(since(*this, *earlier)));
        methods.add_meta_method(MetaMethod::Sub, |_, this, earlier: UserDataRef<Self>| Ok(since(*this, *earlier)));
        methods.add_meta_method(MetaMethod::Lt, |_, this, other: UserDataRef<Self>| Ok(*this < *other));
        methods.add_meta_method(MetaMethod::Le, |_, this, other: UserDataRef<Self>| Ok(*this <= *other));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: UserDataRef<Self>| Ok(*this == *other));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("{:.3}", this.0.as_secs_f64())));
    }
}

fn since(moment: Moment, earlier: Moment) -> f64 {
    (moment.0.as_secs_f64() - earlier.0.as_secs_f64()) * 1e3
}
