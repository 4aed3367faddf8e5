//! WIT values to and from serde.

use wasmtime::component::Type;

/// The WIT signature of a function: its parameters in order, and its result.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Names and types of the parameters.
    pub params: Vec<(String, Type)>,
    /// The type of the result; `None` when there is none.
    pub result: Option<Type>,
}
