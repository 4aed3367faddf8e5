//! WIT values to and from serde: arguments in, results out, and JSON both ways.
//!
//! [`Signature::encode`] is a serializer directed by the WIT types of the parameters: typed Rust values and
//! [`serde_json::Value`]s go the same way. [`decode`] reads a result into anything that deserialises, and [`to_json`]
//! writes one as JSON. Which function is called, and with what, is decided elsewhere.
//!
//! Recursion is directed by types, which are finite and at most some hundred levels deep: the engine refuses deeper ones.

mod check;
mod decode;
mod encode;
mod error;
mod json;
mod names;
mod size;
mod text;
mod types;

use std::fmt;

pub use decode::decode;
pub use encode::EMPTY_TABLE;
pub use error::{UnsupportedType, ValueError};
pub use json::{JsonVal, to_json};
use serde::Serialize;
pub use size::{host_bytes, payload_bytes};
pub use types::WitType;
use wasmtime::component::{Val, types::ComponentFunc};

/// The WIT signature of a function: its parameters in order, and its result. Displays as WIT text:
/// `(a: s32, b: list<string>) -> result<u32, string>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Names and types of the parameters.
    pub params: Vec<(String, WitType)>,
    /// The type of the result; `None` when there is none.
    pub result: Option<WitType>,
}

impl Signature {
    /// The signature of a component's function. Made once for a function: encoding works on it and not on the engine's types.
    pub fn from_func(func: &ComponentFunc) -> Self {
        Self {
            params: func.params().map(|(name, ty)| (name.to_owned(), WitType::from(&ty))).collect(),
            result: func.results().next().map(|ty| WitType::from(&ty)),
        }
    }

    /// Refuses a function whose parameters or result no call can carry.
    ///
    /// # Errors
    /// The first resource, stream, future or error-context, and where it stands.
    pub fn refuse_unsupported(&self) -> Result<(), UnsupportedType> {
        for (name, ty) in &self.params {
            ty.refuse_unsupported(name)?;
        }
        self.result.as_ref().map_or(Ok(()), |ty| ty.refuse_unsupported("result"))
    }

    /// A result of the function as JSON.
    pub fn json(&self, result: Option<&Val>) -> serde_json::Value {
        to_json(result, self.result.as_ref())
    }

    /// Converts arguments to the values that the function takes.
    ///
    /// - A sequence or tuple is the list of arguments; unit, `null` and `None` are no arguments at all.
    /// - Anything else is the one argument of a function with one parameter. A sequence is never taken as that: wrap it,
    ///   `&(users,)`.
    /// - Numbers are range-checked; whole floats fit integers; 64-bit integers may be decimal strings; floats may be the
    ///   strings `NaN`, `Infinity` and `-Infinity`.
    /// - Names of fields, cases and flags may be in kebab-case or snake_case; the variants of Rust enums in PascalCase too.
    ///
    /// # Errors
    /// What does not fit, with its path: `args[0].users[3].tags: expected list<string>, got number`.
    pub fn encode<A: Serialize + ?Sized>(&self, args: &A) -> Result<Vec<Val>, ValueError> {
        encode::arguments(&self.params, args)
    }

    /// Checks values that the caller made himself: one per parameter, each of the parameter's type.
    ///
    /// # Errors
    /// What does not fit, with its path.
    pub fn check(&self, args: &[Val]) -> Result<(), ValueError> {
        check::arguments(&self.params, args)
    }
}

impl WitType {
    /// Converts one value, as [`Signature::encode`] converts each argument.
    ///
    /// # Errors
    /// What does not fit, with its path below this value: `users[3].tags: expected list<string>, got number`.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Val, ValueError> {
        encode::one(self, value)
    }

    /// Takes bytes as they are, for a `list<u8>`, or for a `string` if they are UTF-8, or for an option of these.
    ///
    /// # Errors
    /// When the type is another, or the bytes are no text.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Val, ValueError> {
        encode::bytes(self, bytes)
    }

    /// Reads a value from the texts that URLs, headers and forms give it, of which there is at least one: numbers are
    /// digits, booleans `true` or `false`, cases their names, the elements of a list one text each, a `list<u8>` the bytes
    /// of its text; what has parts of its own is JSON.
    ///
    /// # Errors
    /// What does not fit, and several texts for a single value.
    pub fn parse(&self, texts: &[&str]) -> Result<Val, ValueError> {
        text::value(self, texts)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", types::Params(&self.params))?;
        match &self.result {
            Some(ty) => write!(f, " -> {ty}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
