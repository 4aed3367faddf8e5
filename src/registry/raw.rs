//! Entries as files write them: a name, a kind, and a marked tree. Nothing here is checked beyond what makes an entry
//! findable; `validate` is where fields gain a meaning.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use greenroom_actors::spec::FunctionId;

use super::{
    check::{self, Scope},
    diagnostic::{Diagnostics, closest, shown},
    document::{Node, Value},
    kinds,
    path::FieldPath,
    shape::{Kind, Role, Shape},
    source::SourceFile,
};

/// One entry of a file.
pub(super) struct RawEntry {
    pub(super) id: FunctionId,
    pub(super) kind_name: String,
    /// `None` for a kind that is not known, when such are allowed.
    pub(super) kind: Option<&'static Kind>,
    pub(super) file: Arc<SourceFile>,
    /// Which of the file's entries it is.
    pub(super) item: u32,
    /// Where the name stands.
    pub(super) name_span: Range<usize>,
    pub(super) node: Arc<Node>,
}

/// The entries of a load, found by id.
#[derive(Default)]
pub(super) struct Index {
    /// In the order of files and lines.
    pub(super) entries: Vec<RawEntry>,
    by_id: BTreeMap<FunctionId, usize>,
    /// Whether each entry has an error.
    pub(super) failed: Vec<bool>,
    /// Ids of entries that have a name but no sound kind, so that references to them are not called dangling.
    broken_ids: HashMap<FunctionId, ()>,
}

/// What a reference leads to.
pub(super) enum Target {
    Entry(usize),
    /// An entry that is there, but is reported already.
    Broken,
    Missing,
}

impl Index {
    pub(super) fn find(&self, id: &FunctionId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Follows a reference from a namespace. Without a colon, it stays there.
    pub(super) fn follow(&self, namespace: &str, reference: &str) -> Target {
        let id = match reference.split_once(':') {
            Some(_) => reference.parse(),
            None => FunctionId::new(namespace, reference),
        };
        let Ok(id) = id else { return Target::Missing };
        match self.find(&id) {
            Some(index) => Target::Entry(index),
            None if self.broken_ids.contains_key(&id) => Target::Broken,
            None => Target::Missing,
        }
    }

    /// The ids of all entries of some kinds.
    pub(super) fn ids_of<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'a FunctionId> {
        self.by_id
            .iter()
            .filter(|(_, index)| {
                self.entries.get(**index).is_some_and(|entry| kinds.contains(&entry.kind_name.as_str()))
            })
            .map(|(id, _)| id)
    }

    /// Entry numbers in the order of ids.
    pub(super) fn in_id_order(&self) -> impl Iterator<Item = usize> {
        self.by_id.values().copied()
    }

    /// Reads the entries of one file.
    pub(super) fn add_file(
        &mut self,
        file: &Arc<SourceFile>,
        root: &Arc<Node>,
        allow_unknown_kinds: bool,
        out: &mut Diagnostics,
    ) {
        match &root.value {
            Value::List(_) => {}
            Value::Map(_) => check_header(file, root, out),
            Value::Scalar(_) => {
                let mut scope = Scope::of_file(file, out);
                scope
                    .error(
                        root.span.clone(),
                        FieldPath::Root,
                        format!("a registry file is a mapping, not {}", root.described()),
                    )
                    .help("write `entries:` and a list of entries below it");
                return;
            }
        }
        let items = items(root);
        let Some(namespace) = namespace(file, root, !items.is_empty(), out) else { return };
        for (number, item) in items.iter().enumerate() {
            self.add_entry(file, &namespace, number, item, allow_unknown_kinds, out);
        }
    }

    fn add_entry(
        &mut self,
        file: &Arc<SourceFile>,
        namespace: &str,
        number: usize,
        node: &Arc<Node>,
        allow_unknown_kinds: bool,
        out: &mut Diagnostics,
    ) {
        let entries = FieldPath::Field(&FieldPath::Root, "entries");
        let path = FieldPath::Item(&entries, number);
        if !matches!(node.value, Value::Map(_)) {
            Scope::of_file(file, out)
                .error(node.span.clone(), path, format!("an entry is a mapping, not {}", node.described()))
                .help("an entry has at least `name:` and `kind:`");
            return;
        }
        let name = required_word(file, node, "name", path, out);
        let id = name.and_then(|name| {
            let text = name.text().unwrap_or_default();
            match FunctionId::new(namespace, text) {
                Ok(id) => Some((id, name.span.clone())),
                Err(_) => {
                    let message = format!("`{}` is not a name of an entry", shown(text));
                    Scope::of_file(file, out)
                        .error(name.span.clone(), FieldPath::Field(&path, "name"), message)
                        .label("letters, digits, `_`, `-`, `.` and `/` only")
                        .help("a name has no namespace before it: that is `namespace:`, or the name of the folder");
                    None
                }
            }
        });
        let mut scope = Scope { id: id.as_ref().map(|(id, _)| id), ..Scope::of_file(file, out) };
        check::repeats_within(&mut scope, node, if id.is_some() { FieldPath::Root } else { path });
        let repeated = scope.failed;
        let kind = self.kind(file, node, id.as_ref().map(|(id, _)| id), path, allow_unknown_kinds, out);
        let Some((id, name_span)) = id else { return };
        let other = self.by_id.get(&id).and_then(|index| self.entries.get(*index));
        if let Some(other) = other {
            let mut scope = Scope { id: Some(&id), ..Scope::of_file(file, out) };
            scope
                .error(name_span, FieldPath::Field(&FieldPath::Root, "name"), format!("two entries have the id `{id}`"))
                .label("the second")
                .and_at(&other.file, other.name_span.clone(), "the first")
                .help("rename one of them, or put it in another namespace");
            return;
        }
        let Some((kind_name, kind)) = kind else {
            self.broken_ids.insert(id, ());
            return;
        };
        self.by_id.insert(id.clone(), self.entries.len());
        // A file is bounded far below what would not fit.
        let (file, item, node) = (Arc::clone(file), number as u32, Arc::clone(node));
        self.entries.push(RawEntry { id, kind_name, kind, file, item, name_span, node });
        self.failed.push(repeated);
    }

    fn kind(
        &self,
        file: &Arc<SourceFile>,
        node: &Node,
        id: Option<&FunctionId>,
        path: FieldPath<'_>,
        allow_unknown: bool,
        out: &mut Diagnostics,
    ) -> Option<(String, Option<&'static Kind>)> {
        let value = required_word(file, node, "kind", path, out)?;
        let text = value.text().unwrap_or_default();
        let kind = kinds::find(text);
        let known = |role| kinds::KINDS.iter().filter(move |kind| kind.role == role);
        let field = FieldPath::Field(&FieldPath::Root, "kind");
        let mut scope = Scope { id, ..Scope::of_file(file, out) };
        match kind {
            Some(_) => {}
            None if allow_unknown => {
                scope
                    .warning(value.span.clone(), field, format!("unknown kind `{}`", shown(text)))
                    .label("this entry does nothing");
            }
            None => {
                let near = closest(text, kinds::KINDS.iter().map(|kind| kind.name));
                let roles = [
                    Role::Function,
                    Role::Library,
                    Role::Process,
                    Role::Http,
                    Role::Directory,
                    Role::Variable,
                    Role::Storage,
                ];
                let names: Vec<_> = roles.into_iter().flat_map(known).map(|kind| kind.name).collect();
                let error = scope.error(value.span.clone(), field, format!("unknown kind `{}`", shown(text)));
                if let Some(near) = near {
                    error.label(format!("did you mean `{near}`?"));
                }
                error
                    .help(format!("the kinds that do something are {}", names.join(", ")))
                    .help("`--allow-unknown-kinds` leaves entries of other kinds alone");
                return None;
            }
        }
        Some((text.to_owned(), kind))
    }
}

/// The entries of a file, sound or not.
pub(super) fn items(root: &Node) -> &[Arc<Node>] {
    match &root.value {
        Value::Map(_) => root.get("entries").map(|entries| entries.items()).unwrap_or_default(),
        _ => root.items(),
    }
}

/// Checks the fields beside `entries`.
fn check_header(file: &Arc<SourceFile>, root: &Node, out: &mut Diagnostics) {
    let mut scope = Scope::of_file(file, out);
    check::repeats(&mut scope, root, FieldPath::Root);
    check::object(&mut scope, root, kinds::FILE, FieldPath::Root, None);
    if root.get("entries").is_none() && !root.pairs().iter().any(|pair| closest(&pair.key, ["entries"]).is_some()) {
        scope
            .error(root.span.clone(), FieldPath::Root, "this file has no `entries`")
            .help("write `entries:` and a list of entries below it, or move the file out of the registry root");
    }
}

/// The namespace that a file names, or that of its folder.
fn namespace(file: &Arc<SourceFile>, root: &Node, needed: bool, out: &mut Diagnostics) -> Option<String> {
    let sound = |text: &str| FunctionId::new(text, "x").is_ok();
    match root.get("namespace").filter(|node| node.scalar().is_some() && !node.is_null()) {
        Some(node) => {
            let text = node.text().unwrap_or_default();
            if sound(text) {
                return Some(text.to_owned());
            }
            if !text.is_empty() {
                Scope::of_file(file, out)
                    .error(
                        node.span.clone(),
                        FieldPath::Field(&FieldPath::Root, "namespace"),
                        format!("`{}` is not a namespace", shown(text)),
                    )
                    .label("letters, digits, `_`, `-`, `.` and `/` only");
            }
            None
        }
        None if sound(file.namespace()) => Some(file.namespace().to_owned()),
        None => {
            if needed {
                let message = format!("the folder's name `{}` is not a namespace", shown(file.namespace()));
                Scope::of_file(file, out)
                    .error(root.span.clone(), FieldPath::Root, message)
                    .help("write `namespace:` at the top of the file, of letters, digits, `_`, `-`, `.` and `/`");
            }
            None
        }
    }
}

/// `name` or `kind`: without them nothing else of an entry can be understood.
fn required_word<'a>(
    file: &Arc<SourceFile>,
    node: &'a Node,
    field: &'static str,
    path: FieldPath<'_>,
    out: &mut Diagnostics,
) -> Option<&'a Arc<Node>> {
    let mut scope = Scope::of_file(file, out);
    let Some(pair) = node.pair(field) else {
        let near = closest(field, node.pairs().iter().map(|pair| pair.key.as_str()));
        let near = near.filter(|near| kinds::ENTRY.iter().all(|field| field.name != *near));
        let span = near.and_then(|near| node.pair(near)).map_or(node.span.clone(), |pair| pair.key_span.clone());
        let error = scope.error(span, path, format!("this entry has no `{field}`"));
        match near {
            Some(_) => error.label(format!("did you mean `{field}`?")),
            None => error.help("an entry has at least `name:` and `kind:`"),
        };
        return None;
    };
    let before = scope.out.len();
    check::value(&mut scope, pair, &Shape::Text, FieldPath::Field(&path, field));
    (scope.out.len() == before && pair.value.scalar().is_some()).then_some(&pair.value)
}
