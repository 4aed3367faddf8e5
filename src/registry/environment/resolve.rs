//! From entries to variables and storages, and from placeholders to values. Entries refer to each other freely here, so
//! each is made when it is first asked for, and circles are found on the way.

mod expand;
mod names;

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use names::Names;

use super::{
    super::{
        check::{self, Scope},
        diagnostic::{Diagnostic, Diagnostics},
        document::Node,
        kinds,
        path::FieldPath,
        raw::{Index, RawEntry, Target},
        shape::Role,
        source::reason,
    },
    EnvVariable, Environment,
    storage::{FileStorage, Storage},
};

/// How many entries a chain of references may go through.
const CHAIN_MAX: usize = 32;

/// All entries with their placeholders resolved, and the variables.
pub(in super::super) struct Expanded {
    /// One for each entry of the index, in its order.
    pub(in super::super) nodes: Vec<Arc<Node>>,
    pub(in super::super) environment: Environment,
}

/// Makes all storages and variables, resolves the placeholders of all entries, and checks all fields.
pub(in super::super) fn resolve(root: &Path, index: &mut Index, out: &mut Diagnostics) -> Expanded {
    let failed = std::mem::take(&mut index.failed);
    let mut resolver = Resolver {
        root,
        names: Names::default(),
        index,
        out,
        failed,
        nodes: HashMap::new(),
        variables: HashMap::new(),
        storages: HashMap::new(),
        trail: Vec::new(),
        expanded_bytes: 0,
    };
    resolver.names = Names::collect(resolver.index, resolver.out, &mut resolver.failed);
    let mut environment = Environment::default();
    let mut nodes = Vec::new();
    for (number, entry) in resolver.index.entries.iter().enumerate() {
        let from = From { entry: number, span: entry.name_span.clone(), path: FieldPath::Root };
        match entry.kind.map(|kind| kind.role) {
            Some(Role::Variable) => {
                if let Some(variable) = resolver.variable(number, &from) {
                    environment.variables.insert(entry.id.clone(), variable);
                }
            }
            Some(Role::Storage) => drop(resolver.storage(number, &from)),
            _ => {}
        }
        nodes.push(resolver.node(number));
    }
    environment.names = resolver.names.public(resolver.index);
    let failed = resolver.failed;
    index.failed = failed;
    Expanded { nodes, environment }
}

struct Resolver<'a> {
    root: &'a Path,
    index: &'a Index,
    names: Names,
    out: &'a mut Diagnostics,
    failed: Vec<bool>,
    /// Entries whose placeholders are resolved and whose fields are checked.
    nodes: HashMap<usize, Arc<Node>>,
    /// `None` for those that cannot be made, which is reported already.
    variables: HashMap<usize, Option<Arc<EnvVariable>>>,
    storages: HashMap<usize, Option<Arc<Storage>>>,
    /// The entries that are being made, outermost first.
    trail: Vec<usize>,
    expanded_bytes: usize,
}

/// The place that leads to another entry.
struct From<'p> {
    entry: usize,
    span: Range<usize>,
    path: FieldPath<'p>,
}

impl<'a> Resolver<'a> {
    fn entry(&self, number: usize) -> &'a RawEntry {
        &self.index.entries[number]
    }

    fn error(&mut self, from: &From<'_>, message: String) -> &mut Diagnostic {
        self.failed[from.entry] = true;
        let entry = self.entry(from.entry);
        let diagnostic = Diagnostic::error(message).at(&entry.file, from.span.clone(), "");
        self.out.push(diagnostic.of(Some(&entry.id), from.path.to_string()))
    }

    /// Starts making an entry, unless it is being made already.
    fn enter(&mut self, number: usize, from: &From<'_>) -> bool {
        if let Some(start) = self.trail.iter().position(|other| *other == number) {
            let mut ids: Vec<_> = self.trail[start..].iter().map(|other| self.entry(*other).id.to_string()).collect();
            ids.push(self.entry(number).id.to_string());
            self.error(from, format!("entries refer to each other in a circle: {}", ids.join(" → ")))
                .label("the circle closes here")
                .help("let one of them have a value of its own");
            return false;
        }
        if self.trail.len() >= CHAIN_MAX {
            self.error(from, format!("references go through more than {CHAIN_MAX} entries"))
                .label("the chain is too long here");
            return false;
        }
        self.trail.push(number);
        true
    }

    /// An entry with its placeholders resolved and its fields checked.
    fn node(&mut self, number: usize) -> Arc<Node> {
        if let Some(node) = self.nodes.get(&number) {
            return Arc::clone(node);
        }
        let entry = self.entry(number);
        let Some(kind) = entry.kind else { return Arc::clone(&entry.node) };
        // What an open kind may hold is not known, so neither is what a string in it means.
        let node = if kind.fields.is_empty() && kind.open {
            Arc::clone(&entry.node)
        } else {
            self.expand_entry(number, &entry.node)
        };
        let mut scope = Scope { id: Some(&entry.id), index: Some(self.index), ..Scope::of_file(&entry.file, self.out) };
        if kind.open {
            for pair in node.pairs() {
                let field = kind.fields.iter().find(|field| field.name == pair.key);
                if let Some(field) = field {
                    check::value(&mut scope, pair, &field.shape, FieldPath::Field(&FieldPath::Root, &pair.key));
                }
            }
        } else {
            check::object(&mut scope, &node, kind.fields, FieldPath::Root, Some(kinds::ENTRY));
        }
        check::required(&mut scope, &node, kind.fields, &entry.name_span, FieldPath::Root, kind.name);
        self.failed[number] |= scope.failed;
        self.nodes.insert(number, Arc::clone(&node));
        node
    }

    /// The variable of an entry, or `None` when it cannot be made, which is then reported.
    fn variable(&mut self, number: usize, from: &From<'_>) -> Option<Arc<EnvVariable>> {
        if let Some(known) = self.variables.get(&number) {
            return known.clone();
        }
        if !self.enter(number, from) {
            return None;
        }
        let made = self.make_variable(number);
        self.trail.pop();
        self.failed[number] |= made.is_none();
        self.variables.insert(number, made.clone());
        made
    }

    fn make_variable(&mut self, number: usize) -> Option<Arc<EnvVariable>> {
        let node = self.node(number);
        let entry = self.entry(number);
        let path = FieldPath::Field(&FieldPath::Root, "storage");
        let reference = node.get("storage")?;
        let storage = self.follow(number, reference, path);
        let storage = storage.filter(|_| !self.failed[number])?;
        Some(Arc::new(EnvVariable {
            id: entry.id.clone(),
            key: names::key(entry).to_owned(),
            storage,
            default: node.get("default").and_then(|default| default.text()).map(str::to_owned),
            readonly: node.get("readonly").and_then(|readonly| readonly.flag()).unwrap_or(false),
        }))
    }

    /// Follows a reference to a storage. What is no storage has been reported by the check of fields.
    fn follow(&mut self, number: usize, reference: &Node, path: FieldPath<'_>) -> Option<Arc<Storage>> {
        let target = self.index.follow(self.entry(number).id.namespace(), reference.text()?);
        let Target::Entry(target) = target else { return None };
        let kind = self.entry(target).kind.filter(|kind| kind.role == Role::Storage);
        kind.and_then(|_| self.storage(target, &From { entry: number, span: reference.span.clone(), path }))
    }

    /// The storage of an entry, or `None` when it cannot be made, which is then reported.
    fn storage(&mut self, number: usize, from: &From<'_>) -> Option<Arc<Storage>> {
        if let Some(known) = self.storages.get(&number) {
            return known.clone();
        }
        if !self.enter(number, from) {
            return None;
        }
        let made = self.make_storage(number).map(Arc::new);
        self.trail.pop();
        self.failed[number] |= made.is_none();
        self.storages.insert(number, made.clone());
        made
    }

    fn make_storage(&mut self, number: usize) -> Option<Storage> {
        let node = self.node(number);
        let entry = self.entry(number);
        let id = entry.id.to_string();
        match entry.kind_name.as_str() {
            kinds::STORAGE_ROUTER => {
                let mut storages = Vec::new();
                let field = FieldPath::Field(&FieldPath::Root, "storages");
                let list = node.get("storages")?;
                if list.items().is_empty() && !self.failed[number] {
                    let span = node.pair("storages")?.key_span.clone();
                    self.error(&From { entry: number, span, path: field }, "a router needs a storage".to_owned())
                        .label("this list is empty");
                }
                for (position, item) in list.items().iter().enumerate() {
                    storages.push(self.follow(number, item, FieldPath::Item(&field, position)));
                }
                let storages = storages.into_iter().collect::<Option<Vec<_>>>().filter(|_| !self.failed[number])?;
                Some(Storage::Router { id, storages })
            }
            _ if self.failed[number] => None,
            kinds::STORAGE_MEMORY => Some(Storage::Memory { id, values: Default::default() }),
            kinds::STORAGE_OS => Some(Storage::Os { id }),
            kinds::STORAGE_STATIC => {
                let pairs = node.get("values")?.pairs().iter();
                let values = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.text()?.to_owned()))).collect();
                Some(Storage::Static { id, values })
            }
            _ => self.make_file_storage(number, &node).map(Storage::File),
        }
    }

    fn make_file_storage(&mut self, number: usize, node: &Node) -> Option<FileStorage> {
        let path = node.get("file_path")?;
        let mode = |field: &str, default| match node.get(field) {
            Some(node) => check::mode(node).ok(),
            None => Some(default),
        };
        let storage = FileStorage::new(
            self.entry(number).id.to_string(),
            self.root.join(path.text()?),
            mode("file_mode", 0o600)?,
        );
        let from =
            From { entry: number, span: path.span.clone(), path: FieldPath::Field(&FieldPath::Root, "file_path") };
        let creates = node.get("auto_create").and_then(|flag| flag.flag()).unwrap_or(false);
        if creates && let Err(error) = storage.create(mode("dir_mode", 0o700)?) {
            self.error(&from, format!("the file of this storage cannot be created: {}", reason(&error)));
            return None;
        }
        if let Err(fault) = storage.check() {
            let error = self.error(&from, fault);
            error.help("`file_path` is relative to the registry root");
            if !creates {
                error.help("`auto_create: true` creates a file that is not there");
            }
            return None;
        }
        Some(storage)
    }
}
