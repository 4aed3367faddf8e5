//! What a function is: plain, validated data that the supervision tree is built from.
//!
//! Nothing here reads files, YAML or the environment. Whoever makes a [`FunctionSpec`] — the registry, or an embedder in
//! Rust — has already checked it; [`FunctionSpec::validate`] is the last guard before a tree is built from it.

mod capabilities;
mod limits;
mod network;
mod pool;
mod process;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

pub use capabilities::{Capabilities, Capability};
pub use limits::Limits;
pub use network::{Network, NetworkPattern, NetworkPatternError};
pub use pool::{OnFull, PoolKind, PoolSpec, PoolSpecError, Sizing};
pub use process::ProcessSpec;

use crate::{executor::Executor, runtime::Language};

/// The id of an entry: `namespace:name`.
///
/// Cheap to clone. Both parts are non-empty and made of letters, digits, `_`, `-`, `.` and `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(Arc<str>);

impl FunctionId {
    /// Joins a namespace and a name.
    ///
    /// # Errors
    /// When either part is empty or holds a character that ids do not have.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidId> {
        let id = format!("{namespace}:{name}");
        let part = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        };
        if part(namespace) && part(name) { Ok(Self(id.into())) } else { Err(InvalidId(id)) }
    }

    /// The part before the colon.
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the colon.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, name)| name)
    }

    /// The whole id, `namespace:name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (namespace, name) = text.split_once(':').ok_or_else(|| InvalidId(text.to_owned()))?;
        Self::new(namespace, name)
    }
}

impl std::borrow::Borrow<str> for FunctionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for FunctionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A text that is not an entry id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an entry id; ids are written `namespace:name`, of letters, digits, `_`, `-`, `.` and `/`")]
pub struct InvalidId(pub String);

/// Everything the tree needs to run one function.
#[derive(Debug, Clone)]
pub struct FunctionSpec {
    /// Its id, unique in a runtime.
    pub id: FunctionId,
    /// What runs when it is called.
    pub code: Code,
    /// How workers are spawned and scaled.
    pub pool: PoolSpec,
    /// The bounds of one call and one instance.
    pub limits: Limits,
}

/// How the arguments and the result of a function are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// Values become arguments as they are.
    #[default]
    Payload,
    /// HTTP requests become arguments, and results HTTP responses. Grants the types of `wasi:http`, and runs a component
    /// that exports its handler natively.
    WasiHttp,
}

impl Transport {
    /// The name that registry files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::WasiHttp => "wasi-http",
        }
    }
}

/// What runs when a function is called.
#[derive(Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "specs are few and live long; a box would only get in the way of writing them"
)]
pub enum Code {
    /// A WebAssembly module or component, compiled when the runtime starts.
    Wasm(WasmSpec),
    /// Code of another language, which is prepared when the runtime starts.
    Language(Arc<dyn Language>),
    /// Anything else that can make instances: an executor of yours, or a fake in tests.
    Custom(Arc<dyn Executor>),
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wasm(spec) => f.debug_tuple("Wasm").field(spec).finish(),
            Self::Language(_) => f.write_str("Language"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// A WebAssembly function before compilation.
#[derive(Debug, Clone)]
pub struct WasmSpec {
    /// Where its bytes come from.
    pub source: Source,
    /// The SHA-256 that the bytes must have. Checked before anything is compiled, on the very bytes that are compiled.
    pub sha256: Option<[u8; 32]>,
    /// The WIT signature of a core module: one function (`add: func(a: s32, b: s32) -> s32;`), several, or a whole
    /// package. On a component it is checked against the component's own type.
    pub wit: Option<String>,
    /// The export to call: `name`, `iface#name` or `ns:pkg/iface@1.0.0#name`.
    pub method: String,
    /// What the guest may use.
    pub imports: Capabilities,
    /// Arguments, working directory, environment and mounts of the guest.
    pub wasi: WasiSpec,
    /// How many calls one instance serves before it is dropped. Default is 1: each call has a fresh instance.
    pub reuse: u32,
    /// What calls it: values or HTTP requests. Default is [`Transport::Payload`].
    pub transport: Transport,
}

/// Where the bytes of a function come from.
#[derive(Clone)]
pub enum Source {
    /// WebAssembly text.
    Text(Arc<str>),
    /// A binary already in memory.
    Bytes(Arc<[u8]>),
    /// A file below a directory. The path cannot leave the directory, neither by `..` nor by a symbolic link.
    File {
        /// The directory, as the host names it.
        directory: PathBuf,
        /// The path within the directory, with or without a leading `/`.
        path: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File { directory, path } => write!(f, "File({} in {})", path, directory.display()),
        }
    }
}

/// The WASI world a guest sees. `Debug` only counts the arguments, which may hold secrets.
#[derive(Clone, Default)]
pub struct WasiSpec {
    /// `argv[0]`. Default is the name of the entry.
    pub program: Option<String>,
    /// Arguments after `argv[0]`.
    pub args: Vec<String>,
    /// The guest's initial working directory, absolute. Default is none.
    pub cwd: Option<String>,
    /// Environment variables, looked up anew for each call.
    pub env: Vec<EnvBinding>,
    /// Directories of the host that the guest sees.
    pub mounts: Vec<Mount>,
    /// What the guest may reach over the network. Default is nothing.
    pub network: Network,
}

impl WasiSpec {
    /// Whether this is a path of a guest as entries write it: absolute, without `.`, `..`, an empty part or control
    /// characters, so that two that differ are two places. It may end with a `/`.
    pub fn is_guest_path(path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let parts = || rest.strip_suffix('/').unwrap_or(rest).split('/');
        rest.is_empty() || parts().all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control))
    }
}

impl fmt::Debug for WasiSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiSpec")
            .field("program", &self.program)
            .field("args", &format_args!("{} of them", self.args.len()))
            .field("cwd", &self.cwd)
            .field("env", &self.env)
            .field("mounts", &self.mounts)
            .field("network", &self.network)
            .finish()
    }
}

/// One environment variable of a guest.
#[derive(Debug, Clone)]
pub struct EnvBinding {
    /// Its name inside the guest.
    pub name: String,
    /// Whether a call fails (`invalid`, not started) while the variable has no value. Default is false: the guest then
    /// does not see the variable.
    pub required: bool,
    /// Where the value comes from.
    pub variable: Arc<dyn Variable>,
}

/// A value that is looked up when a call starts. May block on file I/O: it is asked on guest threads only.
pub trait Variable: Send + Sync + fmt::Debug {
    /// The entry id or name that error messages show.
    fn id(&self) -> &str;

    /// The value now, or `None` when there is none.
    ///
    /// # Errors
    /// A sentence that says why the value cannot be read.
    fn get(&self) -> Result<Option<String>, String>;
}

/// A directory of the host at a path of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory, as the host names it.
    pub host: PathBuf,
    /// The absolute path at which the guest sees it.
    pub guest: String,
    /// Whether the guest is kept from changing anything below it. Default is false.
    pub read_only: bool,
}

/// A spec that no tree can be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The pool's numbers do not fit together.
    #[error(transparent)]
    Pool(#[from] PoolSpecError),
    /// A limit is zero or beyond what the engine can do.
    #[error("`limits.{field}` is {found}; it must be between {min} and {max}")]
    Limit {
        /// The field's name, as registry files write it.
        field: &'static str,
        /// The value found.
        found: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// `reuse` is zero.
    #[error("`pool.reuse` is 0; it must be 1 or more")]
    Reuse,
    /// A guest path is relative or used twice.
    #[error("`{field}` is `{found}`; {expected}")]
    GuestPath {
        /// The field's name, as registry files write it.
        field: &'static str,
        /// The path found.
        found: String,
        /// What it should have been.
        expected: &'static str,
    },
}

impl FunctionSpec {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.pool.validate()?;
        self.limits.validate()?;
        match &self.code {
            Code::Wasm(wasm) => wasm.validate(),
            Code::Language(_) | Code::Custom(_) => Ok(()),
        }
    }
}

impl WasmSpec {
    /// Checks what types cannot.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        if self.reuse == 0 {
            return Err(SpecError::Reuse);
        }
        let absolute = |field, path: &str| {
            if WasiSpec::is_guest_path(path) {
                return Ok(());
            }
            Err(SpecError::GuestPath {
                field,
                found: path.to_owned(),
                expected: "a guest path is absolute, without `..`",
            })
        };
        if let Some(cwd) = &self.wasi.cwd {
            absolute("wasi.cwd", cwd)?;
        }
        for (index, mount) in self.wasi.mounts.iter().enumerate() {
            absolute("wasi.mounts.guest", &mount.guest)?;
            if self.wasi.mounts[..index].iter().any(|other| other.guest == mount.guest) {
                let found = mount.guest.clone();
                return Err(SpecError::GuestPath {
                    field: "wasi.mounts.guest",
                    found,
                    expected: "each mount has a path of its own",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::WasiSpec;

    #[test]
    fn a_path_of_a_guest_names_one_place_in_one_way() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/…/x y"] {
            assert!(WasiSpec::is_guest_path(path), "{path}");
        }
        for path in ["", "a", "./a", "//", "//a", "/a//b", "/a//", "/./a", "/a/.", "/a/../b", "/..", "/a\nb", "/a\0"] {
            assert!(!WasiSpec::is_guest_path(path), "{path:?}");
        }
    }
}
