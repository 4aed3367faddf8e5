//! `function.lua` and `library.lua`: files, and what they require of each other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use greenroom_actors::spec::{Code, FunctionId, FunctionSpec, Limits, Network, Transport};

use super::{
    super::{
        check::{Scope, place},
        document::Node,
        environment::Environment,
        kinds,
        path::FieldPath,
        raw::{Index, Target},
    },
    Function, Reader,
};
use crate::lua::{self, LuaFile, LuaFunction, Module};

/// What functions in Lua share.
pub(super) struct Lua {
    libraries: HashMap<FunctionId, Arc<LuaFile>>,
    environment: Arc<Environment>,
    hosts: Arc<BTreeSet<String>>,
}

/// A library whose imports have not been found yet.
pub(super) struct Library {
    number: usize,
    file: LuaFile,
    imports: Vec<(String, FunctionId)>,
}

impl Lua {
    /// Gives libraries what they import. One that imports itself by way of others is at fault.
    pub(super) fn new(
        libraries: Vec<Library>,
        environment: &Environment,
        index: &mut Index,
        out: &mut super::Diagnostics,
    ) -> Self {
        let mut raw: HashMap<_, _> = HashMap::new();
        for library in libraries {
            let Some(entry) = index.entries.get(library.number) else { continue };
            raw.insert(entry.id.clone(), library);
        }
        let mut done = HashMap::new();
        let mut ids: Vec<_> = raw.keys().cloned().collect();
        ids.sort();
        for id in ids {
            let mut way = Vec::new();
            if let Err(cycle) = finish(&id, &mut raw, &mut done, &mut way) {
                let shown: Vec<_> = cycle.iter().map(FunctionId::as_str).collect();
                let number = cycle.first().and_then(|id| index.entries.iter().position(|entry| entry.id == *id));
                let Some(entry) = number.and_then(|number| index.entries.get(number)) else { continue };
                let span = entry.node.pair("imports").map_or(entry.name_span.clone(), |pair| pair.key_span.clone());
                Scope { id: Some(&entry.id), ..Scope::of_file(&entry.file, out) }
                    .error(
                        span,
                        FieldPath::Field(&FieldPath::Root, "imports"),
                        format!("these libraries import each other in a circle: {}", shown.join(" → ")),
                    )
                    .label("leads back here")
                    .help("move what both need to a third library");
                if let Some(number) = number {
                    index.failed[number] = true;
                }
            }
        }
        let hosts = index.entries.iter().filter(|entry| matches!(&*entry.kind_name, "process.host" | "terminal.host"));
        let hosts = hosts.map(|entry| entry.id.to_string()).collect();
        Self { libraries: done, environment: Arc::new(environment.clone()), hosts: Arc::new(hosts) }
    }

    /// The libraries, in the order of ids.
    pub(super) fn libraries(&self) -> Vec<(FunctionId, Arc<LuaFile>)> {
        let mut all: Vec<_> = self.libraries.iter().map(|(id, file)| (id.clone(), Arc::clone(file))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// Finishes a library and those that it imports, or gives the circle that it is on. One that cannot be had is left out:
/// what is wrong with it was reported.
fn finish(
    id: &FunctionId,
    raw: &mut HashMap<FunctionId, Library>,
    done: &mut HashMap<FunctionId, Arc<LuaFile>>,
    way: &mut Vec<FunctionId>,
) -> Result<Option<Arc<LuaFile>>, Vec<FunctionId>> {
    if let Some(file) = done.get(id) {
        return Ok(Some(Arc::clone(file)));
    }
    if let Some(at) = way.iter().position(|known| known == id) {
        let mut cycle = way.split_off(at);
        cycle.push(id.clone());
        return Err(cycle);
    }
    let Some(Library { mut file, imports, .. }) = raw.remove(id) else { return Ok(None) };
    way.push(id.clone());
    for (alias, import) in imports {
        match finish(&import, raw, done, way)? {
            Some(imported) => drop(file.imports.insert(alias, imported)),
            None => {
                way.pop();
                return Ok(None);
            }
        }
    }
    way.pop();
    let file = Arc::new(file);
    done.insert(id.clone(), Arc::clone(&file));
    Ok(Some(file))
}

impl Reader<'_> {
    /// A `library.lua`, before it has what it imports.
    pub(super) fn library(&mut self, sound_fields: bool, number: usize) -> Option<Library> {
        let text = self.lua_source(Limits::default().max_module_bytes);
        let imports = self.lua_imports();
        self.sound(sound_fields, Ok(()))?;
        let file = LuaFile {
            name: self.lua_name(),
            text: text?.into(),
            modules: self.lua_modules(),
            imports: BTreeMap::new(),
        };
        Some(Library { number, file, imports })
    }

    /// A `function.lua`. Reads all parts before it gives up, so that all faults are reported.
    pub(super) fn lua_function(&mut self, sound_fields: bool, lua: &Lua) -> Option<Function> {
        let max_memory = self.node.get("limits").and_then(|limits| limits.get("max_memory_bytes")?.count());
        let limits = Limits { max_memory_bytes: max_memory.unwrap_or(lua::MEMORY_BYTES), ..self.limits() };
        let pool = self.pool();
        let text = self.lua_source(limits.max_module_bytes);
        let network = self.lua_network();
        let mut imports = lua::Imports::new();
        let mut is_whole = true;
        for (alias, id) in self.lua_imports() {
            match lua.libraries.get(&id) {
                Some(file) => drop(imports.insert(alias, Arc::clone(file))),
                // What is wrong with the library was reported there.
                None => is_whole = false,
            }
        }
        let (pool, reuse) = pool?;
        let method = self.node.get("method").and_then(|node| node.text()).unwrap_or(kinds::lua::METHOD).to_owned();
        let file = LuaFile { name: self.lua_name(), text: text?.into(), modules: self.lua_modules(), imports };
        let function = LuaFunction {
            file: Arc::new(file),
            method,
            network: network?,
            environment: Arc::clone(&lua.environment),
            hosts: Arc::clone(&lua.hosts),
            reuse,
        };
        let spec =
            FunctionSpec { id: self.entry.id.clone(), code: Code::Language(Arc::new(function.clone())), pool, limits };
        let valid = spec.validate();
        self.sound(sound_fields && is_whole, valid)?;
        let max_body_bytes = self.node.get("limits").and_then(|limits| limits.get("max_body_bytes")?.count());
        Some(Function { spec, transport: Transport::Payload, max_body_bytes, lua: Some(function) })
    }

    fn lua_source(&mut self, bytes_max: u64) -> Option<String> {
        self.code(bytes_max, "Lua files are text in UTF-8; bytecode is not loaded", "file://name.lua")
    }

    /// How errors name the file.
    fn lua_name(&self) -> String {
        let source = self.node.get("source").and_then(|node| node.text()).unwrap_or_default();
        match source.trim_end().strip_prefix("file://") {
            Some(file) => self.entry.file.folder().join(file).display().to_string(),
            None => self.entry.id.to_string(),
        }
    }

    fn lua_modules(&self) -> BTreeSet<Module> {
        let names = self.node.get("modules").map(|node| node.items()).unwrap_or_default();
        names.iter().filter_map(|name| name.text()?.parse().ok()).collect()
    }

    /// The libraries that the entry imports, by their names in the code.
    fn lua_imports(&mut self) -> Vec<(String, FunctionId)> {
        let mut found = Vec::new();
        let pairs = self.node.get("imports").map(|node: &Arc<Node>| node.pairs()).unwrap_or_default();
        for pair in pairs {
            if Module::find(&pair.key).is_some() {
                let imports = FieldPath::Field(&FieldPath::Root, "imports");
                self.scope
                    .error(
                        pair.key_span.clone(),
                        FieldPath::Field(&imports, &pair.key),
                        format!("`{}` is a module", pair.key),
                    )
                    .label("a library needs another name here")
                    .help("a module of Greenroom belongs in `modules`");
                continue;
            }
            let Some(index) = self.scope.index else { continue };
            let Some(text) = pair.value.text() else { continue };
            if let Target::Entry(number) = index.follow(self.entry.id.namespace(), text)
                && let Some(entry) = index.entries.get(number)
            {
                found.push((pair.key.clone(), entry.id.clone()));
            }
        }
        found
    }

    fn lua_network(&mut self) -> Option<Network> {
        let allow = self.node.get("network").and_then(|network| network.pair("allow"));
        let items = allow.map(|pair| pair.value.items()).unwrap_or_default();
        let has_client = self.lua_modules().contains(&Module::HttpClient);
        let network = FieldPath::Field(&FieldPath::Root, "network");
        match (has_client, allow, items) {
            (false, Some(pair), [_, ..]) => {
                self.scope
                    .warning(place(pair), FieldPath::Field(&network, "allow"), "`network.allow` does nothing here")
                    .label("the entry's `modules` have no `http_client`")
                    .help("add `http_client` to `modules`");
            }
            (true, _, []) => {
                let span = self.node.pair("modules").map_or(self.entry.name_span.clone(), place);
                self.scope
                    .warning(span, FieldPath::Field(&FieldPath::Root, "modules"), "`http_client` can reach nothing")
                    .label("`network.allow` lists nothing")
                    .help("list what it may reach: `network: {allow: [\"api.example.com:443\"]}`");
            }
            _ => {}
        }
        let patterns = items.iter().map(|item| item.text()?.parse().ok());
        Some(Network { allow: patterns.collect::<Option<_>>()? })
    }
}
