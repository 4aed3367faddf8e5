//! Channels between coroutines of one call, and from the host to them: the global `channel`.
//!
//! A channel without room hands over: its sender waits until somebody receives. One that the host feeds is closed when the
//! host has no more.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::{
    StreamExt as _,
    stream::{BoxStream, FusedStream},
};
use mlua::{AnyUserData, Lua, MetaMethod, Table, UserData, UserDataMethods, Value};

use super::{
    error::LuaError,
    held::{self, Held},
};

/// Items that a channel may hold, at most.
const CAPACITY_MAX: usize = 1 << 20;

/// What goes through a channel.
pub(super) enum Item {
    Value(Value),
    /// What the host made, as a value once there is somebody who receives it.
    Made(Make),
}

/// Makes a value.
type Make = Box<dyn FnOnce(&Lua) -> mlua::Result<Value> + Send>;

impl Item {
    fn open(self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Made(make) => make(lua),
        }
    }
}

/// A channel. Clones are the same channel.
#[derive(Clone)]
pub(super) struct Channel(Arc<Mutex<State>>);

struct State {
    items: VecDeque<Item>,
    capacity: usize,
    /// Who waits to receive, and in which case of its `select`.
    takers: VecDeque<(Arc<Taker>, usize)>,
    is_closed: bool,
    /// What the host sends.
    source: Option<Pin<Box<dyn FusedStream<Item = Item> + Send>>>,
    waiting: Vec<Waker>,
    /// The room of its items.
    held: Option<Held>,
}

/// Somebody who waits to receive, from one channel or from several: it is given one item, whoever sends it.
#[derive(Default)]
struct Taker(Mutex<Offer>);

#[derive(Default)]
enum Offer {
    #[default]
    Open,
    /// In this case.
    Given(usize, Item),
    /// It waits no more.
    Over,
}

impl Taker {
    fn offer(&self) -> MutexGuard<'_, Offer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        matches!(*self.offer(), Offer::Open)
    }

    /// What it was given, if it was. Then, and when `is_over`, it waits no more.
    fn take(&self, is_over: bool) -> Option<(usize, Item)> {
        let mut offer = self.offer();
        if !is_over && matches!(*offer, Offer::Open) {
            return None;
        }
        match std::mem::replace(&mut *offer, Offer::Over) {
            Offer::Given(case, item) => Some((case, item)),
            Offer::Open | Offer::Over => None,
        }
    }
}

/// A receiver that waits for no more when this is dropped.
struct Taking(Arc<Taker>);

impl Drop for Taking {
    fn drop(&mut self) {
        drop(self.0.take(true));
    }
}

impl Channel {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            items: VecDeque::new(),
            capacity,
            takers: VecDeque::new(),
            is_closed: false,
            source: None,
            waiting: Vec::new(),
            held: None,
        })))
    }

    /// A channel that the host feeds.
    pub(super) fn fed(source: BoxStream<'static, Item>) -> Self {
        let channel = Self::new(0);
        channel.state().source = Some(Box::pin(source.fuse()));
        channel
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives what is there. Otherwise `taker` waits for it.
    fn poll_receive(&self, cx: &mut Context<'_>, taker: Option<(&Arc<Taker>, usize)>) -> Poll<Option<Item>> {
        let mut state = self.state();
        if let Some(item) = state.items.pop_front() {
            state.wake();
            return Poll::Ready(Some(item));
        }
        if let Some(source) = &mut state.source {
            match source.poll_next_unpin(cx) {
                Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
                Poll::Ready(None) => {
                    state.source = None;
                    state.is_closed = true;
                    state.wake();
                }
                Poll::Pending => {}
            }
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        if let Some((taker, case)) = taker
            && !state.takers.iter().any(|(known, at)| Arc::ptr_eq(known, taker) && *at == case)
        {
            state.takers.retain(|(known, _)| known.is_open());
            state.takers.push_back((Arc::clone(taker), case));
            state.wake();
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Takes the value out when it was sent. `own` is whoever sends, who does not send to itself.
    fn poll_send(
        &self,
        cx: &Context<'_>,
        value: &mut Option<Value>,
        own: Option<&Arc<Taker>>,
    ) -> Poll<mlua::Result<()>> {
        let mut state = self.state();
        if state.source.is_some() || state.is_closed {
            return Poll::Ready(Err(LuaError::invalid("send: the channel is closed")));
        }
        state.takers.retain(|(taker, _)| taker.is_open());
        let taker = state.takers.iter().position(|(taker, _)| own.is_none_or(|own| !Arc::ptr_eq(taker, own)));
        if let Some((taker, case)) = taker.and_then(|at| state.takers.remove(at)) {
            if let Some(value) = value.take() {
                *taker.offer() = Offer::Given(case, Item::Value(value));
            }
        } else if state.items.len() < state.capacity {
            state.items.extend(value.take().map(Item::Value));
        } else {
            state.wait(cx);
            return Poll::Pending;
        }
        state.wake();
        Poll::Ready(Ok(()))
    }

    fn close(&self) -> mlua::Result<()> {
        let mut state = self.state();
        if state.is_closed {
            return Err(LuaError::invalid("close: the channel is closed"));
        }
        (state.is_closed, state.source) = (true, None);
        state.wake();
        Ok(())
    }

    async fn send(&self, value: Value) -> mlua::Result<bool> {
        let mut value = Some(value);
        poll_fn(|cx| self.poll_send(cx, &mut value, None)).await?;
        Ok(true)
    }

    async fn receive(&self, lua: &Lua) -> mlua::Result<(Value, bool)> {
        let taking = Taking(Arc::default());
        let received = poll_fn(|cx| match taking.0.take(false) {
            Some((_, item)) => Poll::Ready(Some(item)),
            None => self.poll_receive(cx, Some((&taking.0, 0))),
        });
        match received.await {
            Some(item) => Ok((item.open(lua)?, true)),
            None => Ok((Value::Nil, false)),
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl UserData for Channel {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("send", |_, this, value: Value| async move {
            let channel = this.clone();
            drop(this);
            channel.send(value).await
        });
        methods.add_async_method("receive", |lua, this, ()| async move {
            let channel = this.clone();
            drop(this);
            channel.receive(&lua).await
        });
        methods.add_method("close", |_, this, ()| this.close());
        methods.add_method("case_receive", |_, this, ()| Ok(Case { channel: this.clone(), send: None }));
        methods.add_method("case_send", |_, this, value: Value| Ok(Case { channel: this.clone(), send: Some(value) }));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: AnyUserData| {
            Ok(other.borrow::<Self>().is_ok_and(|other| Arc::ptr_eq(&this.0, &other.0)))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("channel"));
    }
}

/// One case of a `select`.
#[derive(Clone)]
struct Case {
    channel: Channel,
    /// What to send; nothing receives.
    send: Option<Value>,
}

impl UserData for Case {}

/// The module.
pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let new = |lua: &Lua, capacity: Option<i64>| match usize::try_from(capacity.unwrap_or(0)) {
        Ok(capacity) if capacity <= CAPACITY_MAX => {
            let channel = Channel::new(capacity);
            channel.state().held = held::hold(lua, (capacity * size_of::<Item>()) as u64).map_err(LuaError::raised)?;
            Ok(channel)
        }
        _ => Err(LuaError::invalid(format!("channel.new: the capacity is between 0 and {CAPACITY_MAX}"))),
    };
    module.raw_set("new", lua.create_function(new)?)?;
    module
        .raw_set("select", lua.create_async_function(|lua, cases: Table| async move { select(&lua, &cases).await })?)?;
    // `channel.send(c, v)` and `channel.receive(c)`, for those who like functions.
    let send = |_, (channel, value): (AnyUserData, Value)| async move {
        let channel = channel.borrow::<Channel>()?.clone();
        channel.send(value).await
    };
    module.raw_set("send", lua.create_async_function(send)?)?;
    let receive = |lua, channel: AnyUserData| async move {
        let channel = channel.borrow::<Channel>()?.clone();
        channel.receive(&lua).await
    };
    module.raw_set("receive", lua.create_async_function(receive)?)?;
    Ok(Value::Table(module))
}

/// Waits until one of the cases can go on, and does that one: the first of them that can.
async fn select(lua: &Lua, table: &Table) -> mlua::Result<Table> {
    let mut cases = Vec::new();
    for case in table.sequence_values::<AnyUserData>() {
        let wrong = |_| LuaError::invalid("select takes cases: `c:case_receive()` and `c:case_send(v)`");
        cases.push(case.map_err(wrong)?.borrow::<Case>().map_err(wrong)?.clone());
    }
    let has_default = !matches!(table.get::<Value>("default")?, Value::Nil | Value::Boolean(false));
    if cases.is_empty() && !has_default {
        return Err(LuaError::invalid("select has no case, and would wait for ever"));
    }
    let taking = Taking(Arc::default());
    // Those who wait to send have a turn before there is nothing.
    let mut turns_left = 2_u8;
    let done = poll_fn(|cx| {
        if let Some((at, item)) = taking.0.take(false) {
            return Poll::Ready(Ok(Some((at, Some(item), true))));
        }
        for (at, case) in cases.iter_mut().enumerate() {
            if case.send.is_some() {
                if let Poll::Ready(sent) = case.channel.poll_send(cx, &mut case.send, Some(&taking.0)) {
                    return Poll::Ready(sent.map(|()| Some((at, None, true))));
                }
            } else if let Poll::Ready(received) = case.channel.poll_receive(cx, Some((&taking.0, at))) {
                let ok = received.is_some();
                return Poll::Ready(Ok(Some((at, received, ok))));
            }
        }
        if has_default {
            match turns_left.checked_sub(1) {
                Some(left) => turns_left = left,
                None => return Poll::Ready(Ok(None)),
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    });
    let result = lua.create_table()?;
    match done.await? {
        Some((at, item, ok)) => {
            let value = item.map_or(Ok(Value::Nil), |item| item.open(lua))?;
            result.raw_set("channel", cases.swap_remove(at).channel)?;
            result.raw_set("index", at + 1)?;
            result.raw_set("value", value)?;
            result.raw_set("ok", ok)?;
        }
        None => result.raw_set("default", true)?,
    }
    Ok(result)
}
