//! Lua's string patterns, with a limit: `string.find`, `match`, `gmatch` and `gsub` of Lua 5.4, ported from its
//! `lstrlib.c` (MIT, © 1994–2025 Lua.org, PUC-Rio). In C, one call with a hostile pattern holds its thread for years, and
//! no hook sees it; here, it ends with an error after [`STEPS_MAX`] steps and
//! some for each byte of its subject.
//!
//! The matcher and what is built on it ([`matcher`], [`class`], [`scan`]) know nothing of a VM. This file is the native
//! half of the shell that puts them into one; `face.lua` is the other, and says why there is one. What runs the VM, and
//! ends it at its deadline, is elsewhere.

mod arguments;
mod class;
mod matcher;
mod scan;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::OnceLock};

use mlua::{AnyUserData, Function, IntoLua, Lua, LuaString, MultiValue, Table, Value, chunk::ChunkMode};

use self::{
    arguments::{Arguments, type_name},
    matcher::{Captured, Matcher, PatternError, Steps},
    scan::{Scan, Substitution},
};

/// How much a pattern may do within one call of these functions, well below a second's work. A call is also that of
/// `gmatch`'s iterator, and of `gsub` from one call of its replacement to the next: hooks run in between.
const STEPS_MAX: usize = 10_000_000;

/// What each byte of the subject adds to that, so that the work for a long one is in proportion.
const STEPS_PER_BYTE: usize = 4;

/// From how many bytes on a part of a result goes into the VM while more of it is to come, so that the VM's memory
/// limit sees it: a replacement may never return.
const PIECE_MIN: usize = 512;

/// Puts the four functions into the VM's table `string`, where methods of strings are looked up too.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let string: Table = lua.globals().get("string")?;
    let error: Function = lua.globals().get("error")?;
    let face = lua.load(face()?).set_name("=string").set_mode(ChunkMode::Binary);
    face.call((
        string,
        error,
        lua.create_function(|lua, values| outcome(lua, find(&Arguments::new(lua, "find", values))))?,
        lua.create_function(|lua, values| outcome(lua, first_match(&Arguments::new(lua, "match", values))))?,
        lua.create_function(|lua, values| outcome(lua, gmatch(&Arguments::new(lua, "gmatch", values))))?,
        lua.create_function(|lua, (scan, subject, pattern)| outcome(lua, following(lua, &scan, &subject, &pattern)))?,
        lua.create_function(|lua, values| outcome(lua, gsub(&Arguments::new(lua, "gsub", values))))?,
        lua.create_function(|lua, step| outcome(lua, substitute(lua, &step)))?,
    ))
}

/// `face.lua`, compiled once. Without its lines, no place within it is ever named in an error, as none of C is.
fn face() -> mlua::Result<&'static [u8]> {
    static FACE: OnceLock<Vec<u8>> = OnceLock::new();
    match FACE.get() {
        Some(face) => Ok(face),
        None => {
            // A VM of its own, which has no limits.
            let face = Lua::new().load(include_str!("pattern/face.lua")).into_function()?.dump(true);
            Ok(FACE.get_or_init(|| face))
        }
    }
}

/// Why one of the functions does not return.
enum Fault {
    /// A Lua error: its message, to which its place is added.
    Raised(String),
    /// The VM's own, as that it has no memory left.
    Vm(mlua::Error),
}

impl From<PatternError> for Fault {
    fn from(error: PatternError) -> Self {
        Self::Raised(error.to_string())
    }
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Self::Vm(error)
    }
}

/// What a function gives to `face.lua`.
enum Answer {
    /// What the program gets.
    Done(Vec<Value>),
    /// What to go on with.
    Open(Vec<Value>),
}

fn outcome(lua: &Lua, answer: Result<Answer, Fault>) -> mlua::Result<MultiValue> {
    let (first, values) = match answer {
        Ok(Answer::Done(values)) => (Value::Boolean(true), values),
        Ok(Answer::Open(values)) => (Value::Boolean(false), values),
        Err(Fault::Raised(message)) => (Value::Nil, vec![message.into_lua(lua)?]),
        Err(Fault::Vm(error)) => return Err(error),
    };
    let mut outcome = MultiValue::from_vec(values);
    outcome.push_front(first);
    Ok(outcome)
}

/// Where `find` and `match` look, and for what.
struct Sought {
    subject: LuaString,
    pattern: LuaString,
    from: usize,
}

impl Sought {
    /// The first three arguments of all but `gsub`.
    fn new(arguments: &Arguments<'_>) -> Result<Self, Fault> {
        let (subject, pattern) = (arguments.string(1)?, arguments.string(2)?);
        let from = scan::offset(arguments.integer(3)?.unwrap_or(1), subject.as_bytes().len());
        Ok(Self { subject, pattern, from })
    }
}

fn find(arguments: &Arguments<'_>) -> Result<Answer, Fault> {
    let Sought { subject, pattern, from } = Sought::new(arguments)?;
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let Some(rest) = subject.get(from..) else { return Ok(Answer::Done(vec![Value::Nil])) };
    if arguments.is_true(4) || scan::is_plain(&pattern) {
        let found = memchr::memmem::find(rest, &pattern);
        let values = found.map(|at| vec![position(from + at + 1), position(from + at + pattern.len())]);
        return Ok(Answer::Done(values.unwrap_or(vec![Value::Nil])));
    }
    let (pattern, anchored) = scan::split_anchor(&pattern);
    let mut matcher = matcher(&subject, pattern);
    let Some(found) = Scan::new(from, anchored).next(&mut matcher)? else { return Ok(Answer::Done(vec![Value::Nil])) };
    let mut values = vec![position(found.start + 1), position(found.end)];
    values.extend(captures(arguments.lua(), &matcher, &found, matcher.captures())?);
    Ok(Answer::Done(values))
}

fn first_match(arguments: &Arguments<'_>) -> Result<Answer, Fault> {
    let Sought { subject, pattern, from } = Sought::new(arguments)?;
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let (pattern, anchored) = scan::split_anchor(&pattern);
    let mut matcher = matcher(&subject, pattern);
    match Scan::new(from, anchored).next(&mut matcher)? {
        Some(found) => Ok(Answer::Done(captures(arguments.lua(), &matcher, &found, matcher.captures().max(1))?)),
        None => Ok(Answer::Done(vec![Value::Nil])),
    }
}

// What is under way holds no Lua values: `face.lua` does, so that the VM counts them as its memory.

fn gmatch(arguments: &Arguments<'_>) -> Result<Answer, Fault> {
    let Sought { subject, pattern, from } = Sought::new(arguments)?;
    // There is no anchor: it would be of no use.
    let scan = arguments.lua().create_any_userdata(Scan::new(from, false))?;
    Ok(Answer::Open(vec![Value::UserData(scan), Value::String(subject), Value::String(pattern)]))
}

/// The next match of a `gmatch`; nothing after the last.
fn following(lua: &Lua, scan: &AnyUserData, subject: &LuaString, pattern: &LuaString) -> Result<Answer, Fault> {
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let mut matcher = matcher(&subject, &pattern);
    let found = scan.borrow_mut::<Scan>()?.next(&mut matcher)?;
    let captures = found.map(|found| captures(lua, &matcher, &found, matcher.captures().max(1))).transpose()?;
    Ok(Answer::Done(captures.unwrap_or_default()))
}

/// A `gsub` under way, whose replacements come from the program.
struct UnderWay {
    substitution: Substitution,
    /// The match whose replacement comes next.
    matched: Option<Range<usize>>,
    /// Whether the replacement is asked for the first capture only.
    by_first: bool,
}

fn gsub(arguments: &Arguments<'_>) -> Result<Answer, Fault> {
    let lua = arguments.lua();
    let (subject, pattern) = (arguments.string(1)?, arguments.string(2)?);
    let max = arguments.integer(4)?.unwrap_or(i64::MAX);
    let anchored = scan::split_anchor(&pattern.as_bytes()).1;
    let mut substitution = Substitution::new(anchored, max);
    let replacement = match arguments.get(3) {
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => arguments.string(3)?,
        Some(replacement @ (Value::Function(_) | Value::Table(_))) => {
            let by_first = replacement.is_table();
            let under_way = lua.create_any_userdata(UnderWay { substitution, matched: None, by_first })?;
            let mut open = vec![Value::Boolean(by_first), replacement.clone(), Value::UserData(under_way)];
            open.extend([Value::String(subject), Value::String(pattern), Value::Table(lua.create_table()?)]);
            return Ok(Answer::Open(open));
        }
        _ => return Err(arguments.type_fault(3, "string/function/table")),
    };
    {
        let (subject, pattern, replacement) = (subject.as_bytes(), pattern.as_bytes(), replacement.as_bytes());
        let mut matcher = matcher(&subject, scan::split_anchor(&pattern).0);
        while let Some(matched) = substitution.next(&mut matcher)? {
            substitution.expand(&mut matcher, &matched, &replacement)?;
        }
        substitution.finish(&subject)?;
    }
    let result = if substitution.is_changed() { lua.create_string(substitution.take_result())? } else { subject };
    Ok(Answer::Done(vec![Value::String(result), Value::Integer(substitution.count())]))
}

/// What `face.lua` gives to [`substitute`].
type Step = (AnyUserData, LuaString, LuaString, Table, Value);

/// Takes the replacement of the latest match, and goes to the next. The result grows in `pieces`.
fn substitute(lua: &Lua, (under_way, subject, pattern, pieces, value): &Step) -> Result<Answer, Fault> {
    let mut under_way = under_way.borrow_mut::<UnderWay>()?;
    let UnderWay { substitution, matched, by_first } = &mut *under_way;
    let (text, pattern) = (subject.as_bytes(), pattern.as_bytes());
    if let Some(matched) = matched.take() {
        let by = match value {
            Value::Nil | Value::Boolean(false) => None,
            Value::String(_) | Value::Integer(_) | Value::Number(_) => lua.coerce_string(value.clone())?,
            other => return Err(Fault::Raised(format!("invalid replacement value (a {})", type_name(other)))),
        };
        if let Some(by) = by {
            substitution.replace(&text, &matched, &by.as_bytes())?;
        }
        if substitution.result_len() >= PIECE_MIN {
            pieces.raw_push(lua.create_string(substitution.take_result())?)?;
        }
    }
    let mut matcher = matcher(&text, scan::split_anchor(&pattern).0);
    if let Some(next) = substitution.next(&mut matcher)? {
        let count = if *by_first { 1 } else { matcher.captures().max(1) };
        let captures = captures(lua, &matcher, &next, count)?;
        *matched = Some(next);
        return Ok(Answer::Open(captures));
    }
    substitution.finish(&text)?;
    let result =
        if substitution.is_changed() { join(lua, pieces, &substitution.take_result())? } else { subject.clone() };
    Ok(Answer::Done(vec![Value::String(result), Value::Integer(substitution.count())]))
}

/// The pieces of a result, and what comes after them, as one string.
fn join(lua: &Lua, pieces: &Table, last: &[u8]) -> mlua::Result<LuaString> {
    let mut whole = Vec::new();
    for piece in pieces.sequence_values::<LuaString>() {
        whole.extend_from_slice(&piece?.as_bytes());
    }
    whole.extend_from_slice(last);
    lua.create_string(whole)
}

fn matcher<'a>(subject: &'a [u8], pattern: &'a [u8]) -> Matcher<'a> {
    Matcher::new(subject, pattern, Steps::new(STEPS_MAX.saturating_add(subject.len().saturating_mul(STEPS_PER_BYTE))))
}

/// The first captures of a match.
fn captures(lua: &Lua, matcher: &Matcher<'_>, whole: &Range<usize>, count: usize) -> Result<Vec<Value>, Fault> {
    let capture = |index| match matcher.capture(index, whole)? {
        Captured::Text(range) => Ok(Value::String(lua.create_string(&matcher.subject()[range])?)),
        Captured::Position(at) => Ok(position(at)),
    };
    (0..count).map(capture).collect()
}

/// A place in a subject, which is never longer than an integer can say.
fn position(at: usize) -> Value {
    Value::Integer(i64::try_from(at).unwrap_or(i64::MAX))
}
