//! The names by which variables are found: public names, entry ids, and entry names.

use std::collections::{BTreeMap, HashMap};

use greenroom_actors::spec::FunctionId;

use super::super::super::{
    check::Scope,
    diagnostic::{Diagnostics, shown},
    path::FieldPath,
    raw::{Index, RawEntry},
    shape::Role,
};

/// The names of all variables.
#[derive(Default)]
pub(super) struct Names {
    /// Names that entries give themselves with `variable`. Unique.
    given: BTreeMap<String, usize>,
    /// Names of entries without `variable`. Two namespaces may have the same.
    default: BTreeMap<String, Vec<usize>>,
}

/// What a name leads to.
pub(super) enum Found {
    Variable(usize),
    /// Several variables of other namespaces have this name.
    Ambiguous(Vec<FunctionId>),
    /// An entry of this kind, which is no variable.
    NoVariable(String),
    Nothing,
}

/// The public name of a variable, and the key of its value in the storage.
pub(super) fn key(entry: &RawEntry) -> &str {
    entry.node.get("variable").and_then(|node| node.text()).unwrap_or_else(|| entry.id.name())
}

impl Names {
    /// Collects all names, and reports those that are used twice or are none.
    pub(super) fn collect(index: &Index, out: &mut Diagnostics, failed: &mut [bool]) -> Self {
        let mut names = Self::default();
        let path = FieldPath::Field(&FieldPath::Root, "variable");
        for (number, entry) in index.entries.iter().enumerate() {
            if entry.kind.is_none_or(|kind| kind.role != Role::Variable) {
                continue;
            }
            let Some((node, name)) = entry.node.get("variable").and_then(|node| Some((node, node.text()?))) else {
                names.default.entry(entry.id.name().to_owned()).or_default().push(number);
                continue;
            };
            let mut scope = Scope { id: Some(&entry.id), ..Scope::of_file(&entry.file, out) };
            let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | ':' | '|' | '{' | '}' | '$');
            if name.contains(odd) {
                scope
                    .error(node.span.clone(), path, format!("`{}` is not a name of a variable", shown(name)))
                    .label("no blanks, and none of `=`, `:`, `|`, `$`, `{` and `}`")
                    .help("a public name is what `${env:…}` refers to; it holds no placeholder itself");
                failed[number] = true;
            } else if let Some(other) = names.given.get(name).and_then(|other| index.entries.get(*other)) {
                let first = other.node.get("variable").map_or(other.name_span.clone(), |node| node.span.clone());
                scope
                    .error(node.span.clone(), path, format!("two variables have the public name `{}`", shown(name)))
                    .label("the second")
                    .and_at(&other.file, first, "the first")
                    .help("public names are unique over all namespaces");
                failed[number] = true;
            } else {
                names.given.insert(name.to_owned(), number);
            }
        }
        names
    }

    /// Finds a variable by public name or id, as seen from a namespace.
    pub(super) fn find(&self, index: &Index, namespace: &str, name: &str) -> Found {
        let checked = |number: usize| match index.entries.get(number) {
            Some(entry) if entry.kind.is_some_and(|kind| kind.role == Role::Variable) => Found::Variable(number),
            Some(entry) => Found::NoVariable(entry.kind_name.clone()),
            None => Found::Nothing,
        };
        if name.contains(':') {
            return name.parse().ok().and_then(|id| index.find(&id)).map_or(Found::Nothing, checked);
        }
        if let Some(number) = self.given.get(name) {
            return Found::Variable(*number);
        }
        let here = FunctionId::new(namespace, name).ok().and_then(|id| index.find(&id));
        let found = here.map_or(Found::Nothing, checked);
        match self.default.get(name).map(Vec::as_slice) {
            _ if matches!(found, Found::Variable(_)) => found,
            Some([only]) => Found::Variable(*only),
            Some(several) => {
                let ids = several.iter().filter_map(|number| index.entries.get(*number));
                Found::Ambiguous(ids.map(|entry| entry.id.clone()).collect())
            }
            None => found,
        }
    }

    /// All names that a placeholder could use, for advice.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.given.keys().chain(self.default.keys()).map(String::as_str)
    }

    /// The names that mean one variable wherever they are used.
    pub(super) fn public(&self, index: &Index) -> HashMap<String, FunctionId> {
        let alone = self.default.iter().filter_map(|(name, numbers)| match numbers.as_slice() {
            [only] => Some((name, only)),
            _ => None,
        });
        // Given names come last, as they win over the names of entries.
        alone
            .chain(&self.given)
            .filter_map(|(name, number)| Some((name.clone(), index.entries.get(*number)?.id.clone())))
            .collect()
    }
}
