//! WebAssembly functions under an actor supervision tree, described by YAML registries.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = greenroom::Runtime::builder().registry("registry-examples/compute").start().await?;
//! let product: i32 = runtime.call("compute:lazy", (6, 7)).await?;
//! assert_eq!(product, 42);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Runtime`] starts a tree from a registry folder, from specs built in Rust, or from both, and calls its functions.
//! - [`registry`] reads registry folders and reports what is wrong with them.
//! - [`check`] goes as far as a start would, and runs nothing.
//! - The tree itself, pools and the WebAssembly executor are the crate [`greenroom_actors`], re-exported here.
//!
//! # Metrics
//!
//! Metrics go through the [`metrics`] facade; no recorder is installed. Install one before the runtime starts, for example
//! that of `metrics-exporter-prometheus`, call [`describe_metrics`] once, and serve what the recorder renders as `/metrics`.

mod builder;
mod check;
#[doc(hidden)]
pub mod cli;
pub mod http;
mod lua;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod registry;

pub use builder::{Builder, Runtime, StartError};
pub use check::{Checked, check};
pub use greenroom_actors::{
    Answer, CallError, CallMessage, CallOptions, Context, ErrorKind, FunctionFault, Payload, executor, ractor, spec,
    tree, wasm, wasmtime,
};

/// Gives every metric its help text and unit. For embedders to call once, after they install a recorder.
pub fn describe_metrics() {
    greenroom_actors::metrics::describe();
    http::describe();
}

/// The README's examples, so that they are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
