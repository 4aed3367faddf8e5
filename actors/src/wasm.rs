//! WebAssembly: engine, compilation, linking, values. Implements [`crate::executor`]; knows nothing of actors.

mod value;
pub use value::Signature;
