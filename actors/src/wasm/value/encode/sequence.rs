//! Sequences: lists, tuples, maps as pairs, flags, and arguments.

use serde::{
    Serialize,
    ser::{SerializeSeq, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant},
};
use wasmtime::component::Val;

use super::{
    super::{ValueError, WitType},
    Around, Encoder, Expect,
};

/// Room made for a sequence before its elements come: what it says of its length is believed up to here.
const ROOM_MAX: usize = 1024;

/// A sequence on its way.
pub(super) struct Sequence<'t> {
    expect: Expect<'t>,
    around: Around<'t>,
    /// How many elements there are to be; `None` is any number.
    len: Option<usize>,
    items: Vec<Val>,
    /// Elements seen; those that are too many are counted only.
    seen: usize,
}

impl<'t> Sequence<'t> {
    pub(super) fn open(expect: Expect<'t>, given: Option<usize>, around: Around<'t>) -> Result<Self, ValueError> {
        let len = match expect {
            Expect::Args(params) => Some(params.len()),
            Expect::Pair(..) => Some(2),
            Expect::Type(WitType::Tuple(types)) => Some(types.len()),
            Expect::Type(WitType::FixedList(_, len)) => usize::try_from(*len).ok(),
            Expect::Type(WitType::List(_) | WitType::Map(..) | WitType::Flags(_)) => None,
            other => return Err(around.locate(ValueError::mismatch(other, "array"))),
        };
        let room = len.or(given).unwrap_or(0).min(ROOM_MAX);
        let sequence = Self { expect, around, len, items: Vec::with_capacity(room), seen: 0 };
        if let Some(given) = given {
            sequence.check(given)?;
        }
        Ok(sequence)
    }

    fn check(&self, given: usize) -> Result<(), ValueError> {
        match self.len {
            Some(len) if len != given => Err(self.around.locate(match self.expect {
                Expect::Args(_) if given == 0 => ValueError::mismatch(self.expect, "none"),
                Expect::Args(_) => ValueError::mismatch(self.expect, given),
                expect => {
                    ValueError::mismatch(expect, format_args!("{given} element{}", if given == 1 { "" } else { "s" }))
                }
            })),
            _ => Ok(()),
        }
    }

    /// What the next element must be; `None` when there are enough.
    fn next(&self) -> Option<Expect<'t>> {
        if self.len.is_some_and(|len| self.seen >= len) {
            return None;
        }
        Some(match self.expect {
            Expect::Args(params) => Expect::Type(&params.get(self.seen)?.1),
            Expect::Pair(key, value) => Expect::Type(if self.seen == 0 { key } else { value }),
            Expect::Type(WitType::Tuple(types)) => Expect::Type(types.get(self.seen)?),
            Expect::Type(WitType::List(item) | WitType::FixedList(item, _)) => Expect::Type(item),
            Expect::Type(WitType::Map(key, value)) => Expect::Pair(key, value),
            Expect::Type(WitType::Flags(names)) => Expect::Flag(names),
            Expect::Type(_) | Expect::Flag(_) | Expect::Nothing => return None,
        })
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        if let Some(expect) = self.next() {
            let val = value.serialize(Encoder(expect));
            self.items.push(val.map_err(|error| self.around.locate(error.in_index(self.seen)))?);
        }
        self.seen += 1;
        Ok(())
    }

    fn close(self) -> Result<Val, ValueError> {
        self.check(self.seen)?;
        let items = self.items;
        Ok(self.around.close(match self.expect {
            Expect::Type(WitType::List(_)) => Val::List(items),
            Expect::Type(WitType::FixedList(..)) => Val::FixedLengthList(items),
            Expect::Type(WitType::Map(..)) => Val::Map(items.into_iter().filter_map(pair).collect()),
            Expect::Type(WitType::Flags(names)) => Val::Flags(in_order(names, &items)),
            _ => Val::Tuple(items),
        }))
    }
}

/// The key and value that [`Expect::Pair`] makes.
fn pair(val: Val) -> Option<(Val, Val)> {
    match val {
        Val::Tuple(items) => <[Val; 2]>::try_from(items).ok().map(<(Val, Val)>::from),
        _ => None,
    }
}

/// The flags that are set, each once, as the type lists them.
fn in_order(names: &[String], set: &[Val]) -> Vec<String> {
    let is_set = |name: &String| set.iter().any(|val| matches!(val, Val::String(set) if set == name));
    names.iter().filter(|name| is_set(name)).cloned().collect()
}

impl SerializeSeq for Sequence<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}

impl SerializeTuple for Sequence<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}

impl SerializeTupleStruct for Sequence<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}

impl SerializeTupleVariant for Sequence<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}
