//! The guests that are called, and what they are called with.

use greenroom_actors::{
    spec::{Capabilities, Capability, Source},
    wasmtime::component::Val,
};

/// What is called.
#[derive(Debug, Clone, Copy)]
pub enum Guest {
    /// `greet: func(name: string) -> string`, from C: what a small function of a real toolchain is.
    Greet,
    /// `work: func(n: u32) -> u32`, which takes as long as `n` says.
    Work {
        /// How often it multiplies and adds.
        n: u32,
    },
    /// `forever: func()`, which never ends.
    Forever,
    /// `zero: func() -> s32`, of a core module.
    #[cfg(feature = "extism")]
    Zero,
    /// `sleep-ms: func(ms: u64) -> u64`, from Rust: sleeps in a clock of WASI, and returns how long it was.
    Sleep {
        /// For how long.
        millis: u64,
    },
}

const GREET: &[u8] = include_bytes!("../../registry-examples/http-greet/wasm/greet.wasm");
const SLEEP: &[u8] = include_bytes!("../../registry-examples/sleep/wasm/sleep_test.wasm");
const WORK: &str = include_str!("../guests/work.wat");
#[cfg(feature = "extism")]
const ZERO: &str = include_str!("../guests/zero.wat");

impl Guest {
    /// Its code.
    pub fn source(self) -> Source {
        match self {
            Self::Greet => Source::Bytes(GREET.into()),
            Self::Sleep { .. } => Source::Bytes(SLEEP.into()),
            Self::Work { .. } | Self::Forever => Source::Text(WORK.into()),
            #[cfg(feature = "extism")]
            Self::Zero => Source::Text(ZERO.into()),
        }
    }

    /// The same as bytes or text, for wasmtime.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Greet => GREET,
            Self::Sleep { .. } => SLEEP,
            Self::Work { .. } | Self::Forever => WORK.as_bytes(),
            #[cfg(feature = "extism")]
            Self::Zero => ZERO.as_bytes(),
        }
    }

    /// The export that is called.
    pub fn method(self) -> &'static str {
        match self {
            Self::Greet => "greet",
            Self::Work { .. } => "work",
            Self::Forever => "forever",
            #[cfg(feature = "extism")]
            Self::Zero => "zero",
            Self::Sleep { .. } => "test-sleep#sleep-ms",
        }
    }

    /// The arguments of a call, made anew.
    pub fn args(self) -> Vec<Val> {
        match self {
            Self::Greet => vec![Val::String("Ada Lovelace".to_owned())],
            Self::Work { n } => vec![Val::U32(n)],
            Self::Forever => Vec::new(),
            #[cfg(feature = "extism")]
            Self::Zero => Vec::new(),
            Self::Sleep { millis } => vec![Val::U64(millis)],
        }
    }

    /// What it is granted.
    pub fn imports(self) -> Capabilities {
        let granted = matches!(self, Self::Sleep { .. }).then_some(Capability::Clocks);
        granted.into_iter().collect()
    }

    /// Whether this is an answer that it gives.
    ///
    /// # Errors
    /// When it is not: a call that does not do what it should is fast for nothing.
    pub fn check(self, answer: Option<&Val>) -> anyhow::Result<()> {
        let is_right = match (self, answer) {
            (Self::Greet, Some(Val::String(text))) => text == "Hello, Ada Lovelace!",
            (Self::Work { .. }, Some(Val::U32(_))) => true,
            #[cfg(feature = "extism")]
            (Self::Zero, Some(Val::S32(0))) => true,
            (Self::Sleep { millis }, Some(Val::U64(slept))) => *slept >= millis,
            _ => false,
        };
        anyhow::ensure!(is_right, "`{}` answered {answer:?}", self.method());
        Ok(())
    }
}
