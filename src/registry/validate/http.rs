//! The `http.*` entries, each read for itself. What belongs to what is `http/assemble.rs`' business.

mod assemble;
mod clash;
mod router;
mod tls;

use std::{collections::HashMap, time::Duration};

use http::Method;

use super::{
    super::{
        check::{self, place},
        document::{Node, Scalar},
        form::{self, Route},
        http::{RouterSpec, ServerSpec, StaticSpec, Timeouts},
        kinds::http as kinds,
        path::FieldPath,
        raw::Target,
        source::reason,
    },
    Reader, is_escape,
};

/// What is served, and how lists show each entry.
#[derive(Default)]
pub(in super::super) struct Http {
    pub(in super::super) servers: Vec<ServerSpec>,
    pub(in super::super) summaries: HashMap<greenroom_actors::spec::FunctionId, String>,
}

/// The sound entries, in the order of ids.
#[derive(Default)]
pub(super) struct Parts {
    servers: Vec<Server>,
    routers: Vec<Router>,
    endpoints: Vec<Endpoint>,
    statics: Vec<Static>,
}

struct Server {
    /// The entry.
    number: usize,
    spec: ServerSpec,
    listens: bool,
    /// Its address as the file has it.
    shown: String,
}

struct Router {
    number: usize,
    /// The entry of its server, if it names one.
    server: Option<usize>,
    spec: RouterSpec,
    /// Its prefix as the file has it.
    shown: String,
}

struct Endpoint {
    number: usize,
    /// The entry of its router, if it names one.
    router: Option<usize>,
    /// The entry of its function.
    function: usize,
    method: Option<Method>,
    route: Route,
    /// Its path as the file has it.
    shown: String,
}

struct Static {
    number: usize,
    server: Option<usize>,
    spec: StaticSpec,
    /// Its path, and where the files are, as the file has it.
    shown: String,
}

impl Reader<'_> {
    /// Reads all of an entry before it gives up, so that all faults are reported.
    pub(super) fn http(&mut self, sound_fields: bool, number: usize, parts: &mut Parts) -> Option<()> {
        match self.entry.kind_name.as_str() {
            kinds::SERVICE => {
                let server = self.server(number);
                self.served(sound_fields, server).map(|server| parts.servers.push(server))
            }
            kinds::ROUTER => {
                let router = self.router(number);
                self.served(sound_fields, router).map(|router| parts.routers.push(router))
            }
            kinds::ENDPOINT => {
                let endpoint = self.endpoint(number);
                self.served(sound_fields, endpoint).map(|endpoint| parts.endpoints.push(endpoint))
            }
            _ => {
                let files = self.files(number);
                self.served(sound_fields, files).map(|files| parts.statics.push(files))
            }
        }
    }

    fn served<T>(&self, sound_fields: bool, part: Option<T>) -> Option<T> {
        part.filter(|_| sound_fields && !self.scope.failed)
    }

    fn server(&mut self, number: usize) -> Option<Server> {
        let node = self.node;
        let default = Timeouts::default();
        let timeouts = Timeouts {
            read: self.timeout("timeouts", "read", default.read),
            write: self.timeout("timeouts", "write", default.write),
            idle: self.timeout("timeouts", "idle", default.idle),
        };
        let tls = self.tls();
        let addr = read(node, "addr", form::address);
        let listens = self.lifecycle();
        let spec = ServerSpec {
            id: Some(self.entry.id.clone()),
            addr: addr.unwrap_or_else(|| ServerSpec::ADDRESS.to_owned()),
            timeouts,
            tls: tls?,
            routers: Vec::new(),
            statics: Vec::new(),
        };
        // What came out of a placeholder is not shown.
        let written = node.get("addr").and_then(|addr| addr.scalar()).filter(|scalar| scalar.written.is_some());
        let shown = written.map_or_else(|| spec.addr.clone(), Scalar::shown);
        Some(Server { number, spec, listens, shown })
    }

    /// A duration in a mapping of the entry, which cannot be zero.
    fn timeout(&mut self, mapping: &'static str, field: &'static str, default: Duration) -> Duration {
        let Some(pair) = self.node.get(mapping).and_then(|mapping| mapping.pair(field)) else { return default };
        let Ok(found) = check::duration(&pair.value) else { return default };
        if found.is_zero() {
            let path = FieldPath::Field(&FieldPath::Root, mapping);
            self.scope
                .error(place(pair), FieldPath::Field(&path, field), format!("`{mapping}.{field}` cannot be 0"))
                .label("nothing could happen in that time");
        }
        found
    }

    /// Whether the server listens.
    fn lifecycle(&mut self) -> bool {
        let Some(lifecycle) = self.node.get("lifecycle") else { return true };
        let path = FieldPath::Field(&FieldPath::Root, "lifecycle");
        for field in ["start_timeout", "stop_timeout"] {
            if let Some(pair) = lifecycle.pair(field) {
                self.scope
                    .warning(
                        pair.key_span.clone(),
                        FieldPath::Field(&path, field),
                        format!("`lifecycle.{field}` does nothing"),
                    )
                    .label("servers listen at once, and stop when the runtime has drained");
            }
        }
        let Some(pair) = lifecycle.pair("auto_start") else { return true };
        let listens = pair.value.flag().unwrap_or(true);
        if !listens {
            self.scope
                .warning(place(pair), FieldPath::Field(&path, "auto_start"), "this server does not start")
                .label("nothing that belongs to it is served");
        }
        listens
    }

    fn endpoint(&mut self, number: usize) -> Option<Endpoint> {
        let function = self.target(self.node.get("func")?)?;
        let router = match self.node.get("meta").and_then(|meta| meta.get("router")) {
            Some(router) => Some(self.target(router)?),
            None => None,
        };
        Some(Endpoint {
            number,
            router,
            function,
            method: read(self.node, "method", form::method)?,
            route: read(self.node, "path", form::path)?,
            shown: self.shown("path"),
        })
    }

    /// Where a reference leads, unless that was reported.
    fn target(&self, reference: &Node) -> Option<usize> {
        match self.scope.index?.follow(self.entry.id.namespace(), reference.text()?) {
            Target::Entry(number) => Some(number),
            _ => None,
        }
    }

    /// `meta.server`. The outer `None` is a fault that was reported.
    fn named_server(&self) -> Option<Option<usize>> {
        match self.node.get("meta").and_then(|meta| meta.get("server")) {
            Some(server) => self.target(server).map(Some),
            None => Some(None),
        }
    }

    /// A field as the file has it.
    fn shown(&self, field: &str) -> String {
        self.node.get(field).and_then(|node| node.scalar()).map(Scalar::shown).unwrap_or_default()
    }

    fn files(&mut self, number: usize) -> Option<Static> {
        let options = self.node.get("static_options");
        let option = |field: &str| options.and_then(|options| options.pair(field));
        let text = |field: &str| option(field).and_then(|pair| pair.value.text());
        let index = match text("index") {
            Some(index) => form::index(index).ok()?,
            None => Some(StaticSpec::INDEX.to_owned()),
        };
        let spa = option("spa").and_then(|pair| Some((pair, pair.value.flag()?)));
        if let (Some((pair, true)), None) = (spa, &index) {
            let path = FieldPath::Field(&FieldPath::Root, "static_options");
            self.scope
                .error(place(pair), FieldPath::Field(&path, "spa"), "there is no index to give: `index` is `false`")
                .label("paths without a file give the index");
        }
        let cache = text("cache").and_then(|cache| form::cache(cache).ok());
        let directory = self.folder();
        let server = self.named_server();
        let folder = match self.node.get("directory") {
            Some(_) => format!("/{}", self.shown("directory")),
            None => String::new(),
        };
        let shown = format!("{} → {}{folder}", self.shown("path"), self.shown("fs"));
        let spec = StaticSpec {
            id: self.entry.id.clone(),
            path: read(self.node, "path", form::mount)?,
            directory: directory?,
            index,
            spa: spa.is_some_and(|(_, spa)| spa),
            cache,
        };
        Some(Static { number, server: server?, spec, shown })
    }

    /// The `directory` of the `fs` of static files.
    fn folder(&mut self) -> Option<std::path::PathBuf> {
        let (id, base) = self.directory(self.node.get("fs")?)?;
        let Some(pair) = self.node.pair("directory") else { return Some(base.path.clone()) };
        let text = pair.value.text()?;
        let shown = self.shown("directory");
        let inside = text.trim_start_matches('/');
        let inside = if inside.is_empty() { "." } else { inside };
        let (message, label) = match base.dir.open_dir(inside) {
            _ if inside.split(['/', '\\']).any(|part| part == "..") => {
                (format!("`{shown}` leaves the directory"), "`..` is not allowed in a path")
            }
            Ok(_) => {
                let path = base.path.join(inside);
                return Some(path.canonicalize().unwrap_or(path));
            }
            Err(error) if is_escape(&error) => (format!("`{shown}` leads out of `{id}` by a symbolic link"), ""),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound => (format!("there is no folder `{shown}` in `{id}`"), "no such folder"),
                std::io::ErrorKind::NotADirectory => (format!("`{shown}` in `{id}` is no folder"), "expected a folder"),
                _ => (format!("cannot open `{shown}` in `{id}`: {}", reason(&error)), ""),
            },
        };
        let field = FieldPath::Field(&FieldPath::Root, "directory");
        self.scope
            .error(place(pair), field, message)
            .label(label)
            .help("the path is inside the `fs.directory` entry that `fs` names");
        None
    }
}

/// A field by the function that its form was checked with.
fn read<T>(node: &Node, field: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
    parse(node.get(field)?.text()?).ok()
}
