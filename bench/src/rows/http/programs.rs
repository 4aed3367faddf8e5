//! The two programs that serve a component, as their users start them: `greenroom run` with a registry, and `wasmtime
//! serve`. Both keep compiled code in their own caches.

use std::{
    borrow::Cow,
    fmt::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    clients::Question,
    lab::{Lab, NotMeasured},
    server::Server,
};

/// What the peer is.
pub const PEER: &str = "`wasmtime serve` on the same component, same connections";

/// What ours is.
pub const OURS: &str = "`greenroom run` with a bound of each call's time, a static pool with a worker for each processor, and metrics recorded";

const REGISTRY: &str = include_str!("../../../registry/_index.yaml.in");

/// Instances for each worker of the pool: those that do not run are made ready meanwhile.
const INSTANCES_PER_WORKER: usize = 8;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Component {
    /// A small one, from C.
    C,
    /// One from Rust that grows its memory.
    Rust,
    /// One that brings a JavaScript engine.
    JavaScript,
}

impl Component {
    /// What it is, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::C => "a small component from C that greets",
            Self::Rust => "a component from Rust that greets and grows its memory",
            Self::JavaScript => "a component of 12 MB from JavaScript that greets",
        }
    }

    /// What it is asked, and answers.
    pub fn question(self) -> Question {
        let body = match self {
            Self::C => "Hello, World!\n",
            Self::Rust => "Hello from Rust: /, 0 bytes\n",
            Self::JavaScript => "Hello from JavaScript: GET /\n",
        };
        Question { method: "GET", status: 200, body }
    }

    /// Its code.
    ///
    /// # Errors
    /// [`NotMeasured`] when it is one that has to be built and is not.
    fn bytes(self) -> anyhow::Result<Cow<'static, [u8]>> {
        match self {
            Self::C => Ok(include_bytes!("../../../../registry-examples/http-native/wasm/hello.wasm").into()),
            Self::Rust => Ok(include_bytes!("../../../../registry-examples/http-native/wasm/hello_rust.wasm").into()),
            Self::JavaScript => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/javascript/wasm/server.wasm");
                let bytes = std::fs::read(&path);
                let build = "build it with `registry-examples/guests/build.sh javascript`";
                let bytes =
                    bytes.map_err(|error| NotMeasured(format!("no guest {}: {error}; {build}", path.display())));
                Ok(bytes?.into())
            }
        }
    }

    /// What the peer has to be told. It serves nothing that imports what it does not have.
    fn peer_options(self) -> &'static [&'static str] {
        match self {
            Self::C | Self::Rust => &[],
            Self::JavaScript => &["-S", "cli"],
        }
    }

    /// What its entry grants. Toolchains import more than they use.
    fn imports(self) -> &'static str {
        match self {
            Self::C | Self::Rust => "[]",
            Self::JavaScript => "[wasi:cli, wasi:io, wasi:clocks, wasi:filesystem, wasi:random, wasi:http]",
        }
    }
}

/// A registry of one component, in a folder that is removed when this is dropped.
pub struct Registry {
    component: Component,
    folder: TempDir,
}

impl Registry {
    /// Writes it.
    ///
    /// # Errors
    /// [`NotMeasured`] when the component has to be built and is not.
    pub fn write(component: Component) -> anyhow::Result<Self> {
        let bytes = component.bytes()?;
        let mut hash = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(hash, "{byte:02x}")?;
        }
        let workers = std::thread::available_parallelism()?.get();
        let pool = format!("{{type: static, workers: {workers}, size: {}}}", workers * INSTANCES_PER_WORKER);
        let yaml = REGISTRY.replace("{hash}", &hash).replace("{imports}", component.imports()).replace("{pool}", &pool);
        let registry = Self { component, folder: TempDir::with_prefix("greenroom-bench-")? };
        std::fs::write(registry.folder.path().join("_index.yaml"), yaml)?;
        let guest = registry.guest();
        std::fs::create_dir_all(guest.parent().context("a file without a folder")?)?;
        std::fs::write(guest, bytes)?;
        Ok(registry)
    }

    /// The component.
    fn guest(&self) -> PathBuf {
        self.folder.path().join("wasm/guest.wasm")
    }
}

/// Starts ours: this very program, which is `greenroom` when it is asked to.
///
/// # Errors
/// When it does not come up.
pub fn ours(registry: &Registry) -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["greenroom", "run", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    command.arg(registry.folder.path());
    Server::start(command, "listening on http://")
}

/// Starts the peer.
///
/// # Errors
/// [`NotMeasured`] when it is not there; anything else when it does not come up.
pub fn peer(lab: &Lab, registry: &Registry) -> anyhow::Result<Server> {
    let mut command = Command::new(lab.wasmtime()?);
    command.args(["serve", "-C", "cache=y", "--addr", "127.0.0.1:0"]).args(registry.component.peer_options());
    command.arg(registry.guest());
    Server::start(command, "Serving HTTP on http://")
}
