//! Puts endpoints into routers, routers and static files into servers. What names no router or server belongs to the only
//! one, or to a default one where there is none.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use greenroom_actors::spec::FunctionId;

use super::{
    Endpoint, Http, Parts, Router, Server, Static,
    clash::{Clash, Routes},
};
use crate::registry::{
    check::{Scope, local, place},
    diagnostic::{Diagnostic, Diagnostics},
    http::{EndpointSpec, RouterSpec, ServerSpec, Timeouts},
    kinds::http as kinds,
    path::FieldPath,
    raw::{Index, RawEntry},
    validate::Function,
};

/// The entry of a server or router; `None` is the default one.
type Home = Option<usize>;

impl Parts {
    /// Makes the servers, and reports what cannot be put where it belongs.
    pub(in super::super) fn assemble(self, index: &mut Index, functions: &[Function], out: &mut Diagnostics) -> Http {
        let of_kind = |kind: &str| {
            let is_kind = |number: &usize| index.entries.get(*number).is_some_and(|entry| entry.kind_name == kind);
            index.in_id_order().filter(is_kind).collect::<Vec<_>>()
        };
        let mut assembly = Assembly {
            services: of_kind(kinds::SERVICE),
            routers: of_kind(kinds::ROUTER),
            index,
            functions,
            out,
            failed: HashSet::new(),
            servers: BTreeMap::new(),
            placed: BTreeMap::new(),
            summaries: HashMap::new(),
        };
        assembly.servers(self.servers);
        assembly.routers(self.routers);
        let routes = assembly.endpoints(self.endpoints);
        assembly.statics(self.statics, &routes);
        let Assembly { failed, servers, placed, summaries, .. } = assembly;
        for number in failed {
            index.failed[number] = true;
        }
        let mut servers = servers;
        for router in placed.into_values() {
            if let Some(server) = servers.get_mut(&router.server) {
                server.spec.routers.push(router.spec);
            }
        }
        // Numbers are in the order of files, ids are not.
        let mut servers: Vec<_> =
            servers.into_values().filter(|server| server.listens).map(|server| server.spec).collect();
        servers.sort_by(|a, b| a.id.cmp(&b.id));
        for server in &mut servers {
            server.routers.sort_by(|a, b| a.id.cmp(&b.id));
        }
        Http { servers, summaries }
    }
}

/// A router that has its server.
struct Placed {
    server: Home,
    spec: RouterSpec,
    shown: String,
}

struct Assembly<'a> {
    /// The entries of all servers, and of all routers, sound or not.
    services: Vec<usize>,
    routers: Vec<usize>,
    index: &'a Index,
    functions: &'a [Function],
    out: &'a mut Diagnostics,
    failed: HashSet<usize>,
    servers: BTreeMap<Home, Server>,
    placed: BTreeMap<Home, Placed>,
    summaries: HashMap<FunctionId, String>,
}

impl<'a> Assembly<'a> {
    fn id(&self, number: usize) -> &'a FunctionId {
        &self.index.entries[number].id
    }

    /// An error at a field of an entry, or at its name.
    fn error(&mut self, number: usize, field: &[&str], message: String) -> &mut Diagnostic {
        self.failed.insert(number);
        let entry = &self.index.entries[number];
        let pair = field.first().and_then(|field| entry.node.pair(field));
        let span = pair.map_or(entry.name_span.clone(), place);
        self.out.push(Diagnostic::error(message).at(&entry.file, span, "").of(Some(&entry.id), field.join(".")))
    }

    fn summary(&mut self, number: usize, text: String) {
        self.summaries.insert(self.id(number).clone(), text);
    }

    fn servers(&mut self, servers: Vec<Server>) {
        let mut taken = HashMap::new();
        for server in servers {
            let number = server.number;
            let scheme = if server.spec.tls.is_some() { "https" } else { "http" };
            let state = if server.listens { "" } else { ", does not start" };
            self.summary(number, format!("{scheme}://{}{state}", server.shown));
            if server.listens && !server.spec.addr.ends_with(":0") {
                match taken.entry(server.spec.addr.clone()) {
                    Entry::Occupied(other) => {
                        let other: &usize = other.get();
                        let message = format!("`{}` listens there, too", self.id(*other));
                        self.error(number, &["addr"], message)
                            .label("each server has an address of its own")
                            .help("give one of them another port");
                        continue;
                    }
                    Entry::Vacant(free) => drop(free.insert(number)),
                }
            }
            self.servers.insert(Some(number), server);
        }
    }

    /// The server that something belongs to. `kind` is what it is.
    fn server_of(&mut self, number: usize, named: Option<usize>, field: &[&str]) -> Option<Home> {
        match (named, self.services.as_slice()) {
            (Some(named), _) => Some(Some(named)),
            (None, [only]) => Some(Some(*only)),
            (None, []) => {
                self.servers.entry(None).or_insert_with(|| Server {
                    number,
                    listens: true,
                    shown: ServerSpec::ADDRESS.to_owned(),
                    spec: ServerSpec {
                        id: None,
                        addr: ServerSpec::ADDRESS.to_owned(),
                        timeouts: Timeouts::default(),
                        tls: None,
                        routers: Vec::new(),
                        statics: Vec::new(),
                    },
                });
                Some(None)
            }
            (None, _) => {
                let (first, ids) = self.ids(number, &self.services);
                let error = self.error(number, field, format!("there are several servers: {ids}"));
                error.label("which one does it belong to?");
                match field {
                    ["meta", "server"] => error.help(format!("write `meta: {{server: {first}}}`")),
                    _ => error.help(format!(
                        "write an `http.router` with `meta: {{server: {first}}}`, and name it by `meta: {{router: …}}`"
                    )),
                };
                None
            }
        }
    }

    /// The first of some ids, as an entry would write it, and all of them in words.
    fn ids(&self, number: usize, of: &[usize]) -> (&'a str, String) {
        const SHOWN_MAX: usize = 8;
        let namespace = self.id(number).namespace();
        let mut ids: Vec<_> = of.iter().take(SHOWN_MAX).map(|other| local(self.id(*other), namespace)).collect();
        let first = ids.first().copied().unwrap_or_default();
        if of.len() > SHOWN_MAX {
            ids.push("…");
        }
        (first, ids.join(", "))
    }

    fn routers(&mut self, routers: Vec<Router>) {
        for Router { number, server, spec, shown } in routers {
            let Some(server) = self.server_of(number, server, &["meta", "server"]) else { continue };
            let names = spec.middleware.iter().map(|middleware| format!(", {}", middleware.name()));
            let prefix = if shown.is_empty() { "/" } else { &shown };
            let text = format!("{prefix}{}{}", names.collect::<String>(), self.listening(server));
            self.summary(number, text);
            self.placed.insert(Some(number), Placed { server, spec, shown });
        }
    }

    /// Where a server listens, as the end of a summary.
    fn listening(&self, server: Home) -> String {
        self.servers.get(&server).map(|server| format!(", on {}", server.shown)).unwrap_or_default()
    }

    fn router_of(&mut self, endpoint: &Endpoint) -> Option<Home> {
        match (endpoint.router, self.routers.as_slice()) {
            (Some(named), _) => Some(Some(named)),
            (None, [only]) => Some(Some(*only)),
            (None, []) => {
                let server = self.server_of(endpoint.number, None, &["meta", "router"])?;
                let spec =
                    RouterSpec { id: None, prefix: String::new(), middleware: Vec::new(), endpoints: Vec::new() };
                self.placed.entry(None).or_insert(Placed { server, spec, shown: String::new() });
                Some(None)
            }
            (None, _) => {
                let (first, ids) = self.ids(endpoint.number, &self.routers);
                self.error(endpoint.number, &["meta", "router"], format!("there are several routers: {ids}"))
                    .label("which one does it belong to?")
                    .help(format!("write `meta: {{router: {first}}}`"));
                None
            }
        }
    }

    /// Gives back which paths are taken.
    fn endpoints(&mut self, endpoints: Vec<Endpoint>) -> HashMap<Home, Routes> {
        let mut routes: HashMap<Home, Routes> = HashMap::new();
        for endpoint in endpoints {
            let number = endpoint.number;
            let Some(home) = self.router_of(&endpoint) else { continue };
            let Some(router) = self.placed.get(&home) else { continue };
            let (server, prefix) = (router.server, router.spec.prefix.clone());
            let method = endpoint.method.as_ref().map_or("ANY", |method| method.as_str());
            let id = self.id(endpoint.function);
            let text = format!(
                "{method} {}{} → {}{}",
                router.shown,
                endpoint.shown,
                local(id, self.id(number).namespace()),
                self.listening(server)
            );
            let pattern = format!("{prefix}{}", endpoint.route.pattern);
            if let Err(clash) = routes.entry(server).or_default().add(number, endpoint.method.clone(), &pattern) {
                self.clash(&endpoint, &prefix, clash);
                continue;
            }
            self.summary(number, text);
            let Some(function) = self.function(&endpoint) else { continue };
            let spec = EndpointSpec {
                id: self.id(number).clone(),
                method: endpoint.method,
                path: endpoint.route.path,
                function: id.clone(),
                transport: function.transport,
                max_body_bytes: function.max_body_bytes.unwrap_or(EndpointSpec::BODY_BYTES_MAX),
            };
            if let Some(router) = self.placed.get_mut(&home) {
                router.spec.endpoints.push(spec);
            }
        }
        routes
    }

    /// The function of an endpoint, unless its entry is at fault.
    fn function(&self, endpoint: &Endpoint) -> Option<&'a Function> {
        let id = self.id(endpoint.function);
        let found = self.functions.binary_search_by(|function| function.spec.id.cmp(id)).ok()?;
        self.functions.get(found)
    }

    fn clash(&mut self, endpoint: &Endpoint, prefix: &str, clash: Clash) {
        let index = self.index;
        let (other, message, label, help) = match clash {
            Clash::Same(other) => {
                let method = endpoint.method.as_ref().map_or("ANY", |method| method.as_str());
                let path = format!("{prefix}{}", endpoint.route.path);
                let message = format!("`{}` answers `{method} {path}`, too", self.id(other));
                (Some(other), message, "the same method and path", "give one of them another path or method")
            }
            Clash::Overlap(other) => {
                let message = match other {
                    Some(other) => format!("its path overlaps with that of `{}`", self.id(other)),
                    None => "its path overlaps with that of another endpoint".to_owned(),
                };
                let help =
                    "at one place of a path, endpoints have either `{name}` or `{rest...}`, and one text beside it";
                (other, message, "both would answer some requests", help)
            }
        };
        let error = self.error(endpoint.number, &["path"], message);
        error.label(label).help(help);
        if let Some(other) = other.and_then(|other| index.entries.get(other)) {
            let span = other.node.pair("path").map_or(other.name_span.clone(), place);
            error.and_at(&other.file, span, "the other");
        }
    }

    fn statics(&mut self, statics: Vec<Static>, routes: &HashMap<Home, Routes>) {
        let mut taken = HashMap::new();
        for Static { number, server, spec, shown } in statics {
            let Some(server) = self.server_of(number, server, &["meta", "server"]) else { continue };
            if let Some(other) = taken.insert((server, spec.path.clone()), number) {
                let message = format!("`{}` is at `{}`, too", self.id(other), spec.path);
                self.error(number, &["path"], message)
                    .label("each has a path of its own")
                    .help("give one of them another path");
                continue;
            }
            self.summary(number, format!("{shown}{}", self.listening(server)));
            if let Some(endpoint) = routes.get(&server).and_then(|routes| routes.covering(&spec.path)) {
                self.hidden(number, endpoint, &spec.path);
            }
            if let Some(server) = self.servers.get_mut(&server) {
                server.spec.statics.push(spec);
            }
        }
    }

    /// Warns of static files that an endpoint answers for.
    fn hidden(&mut self, number: usize, endpoint: usize, path: &str) {
        let (entry, other) = (&self.index.entries[number], &self.index.entries[endpoint]);
        let name = local(&other.id, entry.id.namespace());
        let message = format!("`{}` is never reached: `{name}` takes every path below `{path}`", entry.id.name());
        let place = |entry: &RawEntry| entry.node.pair("path").map_or(entry.name_span.clone(), place);
        Scope { id: Some(&entry.id), ..Scope::of_file(&entry.file, self.out) }
            .warning(place(entry), FieldPath::Field(&FieldPath::Root, "path"), message)
            .label("endpoints come first")
            .help(format!("give `{name}` a path that leaves some to files, such as `/api/{{rest...}}`"))
            .and_at(&other.file, place(other), "takes them");
    }
}
