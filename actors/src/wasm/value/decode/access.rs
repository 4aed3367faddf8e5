//! The parts of a value as serde visits them: elements, fields, entries, cases.

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{BoolDeserializer, BorrowedStrDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use wasmtime::component::Val;

use super::{
    super::{
        ValueError,
        names::{is_pascal_of, is_snake_of},
    },
    Decoder,
};

/// Visits elements, every one of which must be taken.
pub(super) fn visit_items<'de, D, V>(
    items: impl ExactSizeIterator<Item = D>,
    visitor: V,
) -> Result<V::Value, ValueError>
where
    D: Deserializer<'de, Error = ValueError>,
    V: Visitor<'de>,
{
    let len = items.len();
    let mut items = Items { items, seen: 0 };
    let value = visitor.visit_seq(&mut items)?;
    match items.seen {
        seen if seen < len => Err(ValueError::mismatch(format_args!("{seen} elements"), len)),
        _ => Ok(value),
    }
}

struct Items<I> {
    items: I,
    seen: usize,
}

impl<'de, I, D> SeqAccess<'de> for &mut Items<I>
where
    I: ExactSizeIterator<Item = D>,
    D: Deserializer<'de, Error = ValueError>,
{
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ValueError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let at = self.seen;
        self.seen += 1;
        seed.deserialize(item).map(Some).map_err(|error| error.in_index(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// Key and value of a map, as a sequence of two.
pub(super) struct Pair<'de>(pub &'de (Val, Val));

impl<'de> Deserializer<'de> for Pair<'de> {
    type Error = ValueError;

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let (key, value) = self.0;
        visit_items([key, value].into_iter().map(|val| Decoder(Some(val))), visitor)
    }
}

/// The entries of a map.
pub(super) struct Pairs<'de> {
    pairs: std::slice::Iter<'de, (Val, Val)>,
    seen: usize,
    value: Option<&'de (Val, Val)>,
}

impl<'de> Pairs<'de> {
    pub(super) fn new(pairs: &'de [(Val, Val)]) -> Self {
        Self { pairs: pairs.iter(), seen: 0, value: None }
    }
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        self.value = self.pairs.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        self.seen += 1;
        seed.deserialize(Decoder(Some(key))).map(Some).map_err(|error| error.in_name("key").in_index(self.seen - 1))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ValueError> {
        let Some((key, value)) = self.value.take() else { return Err(value_first()) };
        seed.deserialize(Decoder(Some(value))).map_err(|error| match key {
            Val::String(key) => error.in_name(key),
            _ => error.in_index(self.seen.saturating_sub(1)),
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

fn value_first() -> ValueError {
    ValueError::new("a value of a map was asked for before its key")
}

/// The name by which a Rust type knows a WIT name: one of its own in snake_case, else the WIT name.
fn known_as<'de>(wit: &'de str, fields: &'static [&'static str]) -> &'de str {
    fields.iter().find(|field| is_snake_of(field, wit)).copied().unwrap_or(wit)
}

/// The fields of a record.
pub(super) struct Fields<'de> {
    vals: std::slice::Iter<'de, (String, Val)>,
    fields: &'static [&'static str],
    value: Option<&'de (String, Val)>,
}

impl<'de> Fields<'de> {
    pub(super) fn new(vals: &'de [(String, Val)], fields: &'static [&'static str]) -> Self {
        Self { vals: vals.iter(), fields, value: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        self.value = self.vals.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(known_as(name, self.fields))).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ValueError> {
        let Some((name, value)) = self.value.take() else { return Err(value_first()) };
        seed.deserialize(Decoder(Some(value))).map_err(|error| error.in_name(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.vals.len())
    }
}

/// An object with one key.
pub(super) struct Single<'de> {
    entry: Option<(&'de str, Decoder<'de>)>,
    value: Option<(&'de str, Decoder<'de>)>,
}

impl<'de> Single<'de> {
    pub(super) fn new(key: &'de str, value: Decoder<'de>) -> Self {
        Self { entry: Some((key, value)), value: None }
    }
}

impl<'de> MapAccess<'de> for Single<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        self.value = self.entry.take();
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ValueError> {
        let Some((key, value)) = self.value.take() else { return Err(value_first()) };
        seed.deserialize(value).map_err(|error| error.in_name(key))
    }
}

/// Flags as booleans: the fields that a struct has, and the flags that are set besides.
pub(super) struct Truths<'de> {
    set: &'de [String],
    fields: &'static [&'static str],
    at: usize,
    value: bool,
}

impl<'de> Truths<'de> {
    pub(super) fn new(set: &'de [String], fields: &'static [&'static str]) -> Self {
        Self { set, fields, at: 0, value: false }
    }
}

impl<'de> MapAccess<'de> for Truths<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        let (fields, set) = (self.fields, self.set);
        let name = match fields.get(self.at) {
            Some(field) => {
                self.value = set.iter().any(|flag| is_snake_of(field, flag));
                *field
            }
            None => {
                self.value = true;
                let mut besides = set.iter().filter(|flag| !fields.iter().any(|field| is_snake_of(field, flag)));
                match besides.nth(self.at - fields.len()) {
                    Some(flag) => flag,
                    None => return Ok(None),
                }
            }
        };
        self.at += 1;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ValueError> {
        let value: BoolDeserializer<ValueError> = self.value.into_deserializer();
        seed.deserialize(value)
    }
}

/// A case of a variant, enum or result, for a Rust enum.
pub(super) struct CaseAccess<'de> {
    name: &'de str,
    payload: Decoder<'de>,
    variants: &'static [&'static str],
}

impl<'de> CaseAccess<'de> {
    pub(super) fn new(name: &'de str, payload: Decoder<'de>, variants: &'static [&'static str]) -> Self {
        Self { name, payload, variants }
    }
}

impl<'de> EnumAccess<'de> for CaseAccess<'de> {
    type Error = ValueError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), ValueError> {
        let named =
            |same: fn(&str, &str) -> bool| self.variants.iter().copied().find(|variant| same(variant, self.name));
        let variant = named(is_snake_of).or_else(|| named(is_pascal_of)).unwrap_or(self.name);
        let variant: StrDeserializer<'_, ValueError> = variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for CaseAccess<'de> {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.payload.0 {
            None => Ok(()),
            Some(_) => Err(ValueError::mismatch("a case without payload", "one with a payload").in_name(self.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ValueError> {
        seed.deserialize(self.payload).map_err(|error| error.in_name(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.payload.deserialize_tuple(len, visitor).map_err(|error| error.in_name(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.payload.deserialize_struct("", fields, visitor).map_err(|error| error.in_name(self.name))
    }
}
