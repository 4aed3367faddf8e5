//! WebAssembly: engine, compilation, linking, values. Implements [`crate::executor`]; knows nothing of actors.

mod value;
pub use value::{JsonVal, Signature, UnsupportedType, ValueError, WitType, decode, payload_bytes, to_json};
