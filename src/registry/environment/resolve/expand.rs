//! Puts values in the place of placeholders. The text as written stays beside the value, for messages.

use std::{ops::Range, sync::Arc};

use super::{
    super::super::{
        diagnostic::{closest, shown},
        document::{Node, Pair, Scalar, Value},
        kinds,
        path::FieldPath,
        placeholder::{self, Piece},
    },
    From, Resolver,
    names::Found,
};

/// How many bytes all strings with placeholders may come to, in one load.
const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// Why a string cannot be had. `None` is one that is reported elsewhere.
struct Fault {
    message: String,
    label: String,
    help: Vec<String>,
}

impl Resolver<'_> {
    /// Resolves the placeholders of an entry. Its name, kind and notes have none.
    pub(super) fn expand_entry(&mut self, number: usize, node: &Arc<Node>) -> Arc<Node> {
        let mut changed = false;
        let mut expanded = Vec::with_capacity(node.pairs().len());
        for pair in node.pairs() {
            let own = kinds::ENTRY.iter().any(|field| field.name == pair.key) || pair.key == "variable";
            let path = FieldPath::Field(&FieldPath::Root, &pair.key);
            let value = if own { Arc::clone(&pair.value) } else { self.expand(number, &pair.value, path) };
            changed |= !Arc::ptr_eq(&value, &pair.value);
            expanded.push(Pair { key: pair.key.clone(), key_span: pair.key_span.clone(), value });
        }
        if changed { node.replaced(Value::Map(expanded)) } else { Arc::clone(node) }
    }

    fn expand(&mut self, number: usize, node: &Arc<Node>, path: FieldPath<'_>) -> Arc<Node> {
        match &node.value {
            Value::Scalar(scalar) if placeholder::is_candidate(&scalar.text) => {
                let scalar = self.expand_scalar(number, node, scalar, path);
                node.replaced(Value::Scalar(scalar))
            }
            Value::Scalar(_) => Arc::clone(node),
            Value::List(items) => {
                let mut changed = false;
                let mut expanded = Vec::with_capacity(items.len());
                for (position, item) in items.iter().enumerate() {
                    let new = self.expand(number, item, FieldPath::Item(&path, position));
                    changed |= !Arc::ptr_eq(&new, item);
                    expanded.push(new);
                }
                if changed { node.replaced(Value::List(expanded)) } else { Arc::clone(node) }
            }
            Value::Map(pairs) => {
                let mut changed = false;
                let mut expanded = Vec::with_capacity(pairs.len());
                for pair in pairs {
                    let value = self.expand(number, &pair.value, FieldPath::Field(&path, &pair.key));
                    changed |= !Arc::ptr_eq(&value, &pair.value);
                    expanded.push(Pair { key: pair.key.clone(), key_span: pair.key_span.clone(), value });
                }
                if changed { node.replaced(Value::Map(expanded)) } else { Arc::clone(node) }
            }
        }
    }

    fn expand_scalar(&mut self, number: usize, node: &Node, scalar: &Scalar, path: FieldPath<'_>) -> Scalar {
        let broken = |scalar: &Scalar| Scalar { broken: true, ..scalar.clone() };
        let pieces = match placeholder::pieces(&scalar.text) {
            Ok(pieces) => pieces,
            Err(fault) => {
                let span = self.locate(number, node, "${");
                self.error(&From { entry: number, span, path }, "a placeholder is malformed".to_owned())
                    .label(fault)
                    .help("placeholders are written `${env:NAME}` or `${env:NAME|default}`");
                return broken(scalar);
            }
        };
        let mut text = String::new();
        let mut whole = true;
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Variable { name, default } => {
                    let span = self.locate(number, node, name);
                    let from = From { entry: number, span, path };
                    match self.lookup(&from, name) {
                        Ok(value) => match value.as_deref().or(default) {
                            Some(value) => text.push_str(value),
                            None => {
                                self.error(&from, format!("the variable `{}` has no value", shown(name)))
                                    .label("no value, and no default")
                                    .help(format!(
                                        "write `${{env:{}|default}}`, or give the variable a value",
                                        shown(name)
                                    ));
                                whole = false;
                            }
                        },
                        Err(fault) => {
                            if let Some(fault) = fault {
                                let error = self.error(&from, fault.message);
                                error.label(fault.label);
                                for help in fault.help {
                                    error.help(help);
                                }
                            }
                            self.failed[number] = true;
                            whole = false;
                        }
                    }
                }
            }
            if self.expanded_bytes.saturating_add(text.len()) > EXPANDED_BYTES_MAX {
                let message = format!("strings with placeholders come to more than {} MiB", EXPANDED_BYTES_MAX >> 20);
                self.error(&From { entry: number, span: node.span.clone(), path }, message)
                    .label("this one goes beyond");
                return broken(scalar);
            }
        }
        self.expanded_bytes += text.len();
        match whole {
            true => Scalar { text, written: Some(scalar.text.clone()), ..scalar.clone() },
            false => broken(scalar),
        }
    }

    /// The value of the variable that a placeholder names.
    fn lookup(&mut self, from: &From<'_>, name: &str) -> Result<Option<String>, Option<Fault>> {
        let namespace = self.entry(from.entry).id.namespace();
        let number = match self.names.find(self.index, namespace, name) {
            Found::Variable(number) => number,
            other => return Err(Some(self.not_found(from, name, other))),
        };
        let variable = self.variable(number, from).ok_or(None)?;
        variable.read().map_err(|error| {
            Some(Fault {
                message: format!("the variable `{}` cannot be read", shown(name)),
                label: error.to_string(),
                help: Vec::new(),
            })
        })
    }

    fn not_found(&self, from: &From<'_>, name: &str, found: Found) -> Fault {
        let entry = self.entry(from.entry);
        let os = "a variable of the process is reached by an `env.variable` entry whose `storage` is an `env.storage.os` entry";
        let (message, label, help) = match found {
            Found::Ambiguous(ids) => {
                let ids = ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
                let label = "several variables have this name".to_owned();
                (format!("`{}` may be any of {ids}", shown(name)), label, vec!["write the id".to_owned()])
            }
            Found::NoVariable(kind) => {
                let message = format!("`{}` is of kind {}, so it is no variable", shown(name), shown(&kind));
                (message, "expected an `env.variable` entry".to_owned(), vec![os.to_owned()])
            }
            Found::Variable(_) | Found::Nothing => {
                let near = if self.out.is_full(entry.file.shown()) { None } else { closest(name, self.names.all()) };
                let label = near.map_or("no such variable".to_owned(), |near| format!("did you mean `{near}`?"));
                (format!("there is no variable `{}`", shown(name)), label, vec![os.to_owned()])
            }
        };
        Fault { message, label, help }
    }

    /// Where a part of a string stands in the file: strings in blocks have many lines.
    fn locate(&self, number: usize, node: &Node, part: &str) -> Range<usize> {
        const SEARCHED_MAX: usize = 64 << 10;
        let text = self.entry(number).file.text();
        let rest = text.as_bytes().get(node.span.start..).unwrap_or_default();
        let rest = rest.get(..SEARCHED_MAX).unwrap_or(rest);
        match rest.windows(part.len().max(1)).position(|window| window == part.as_bytes()) {
            Some(at) => node.span.start + at..node.span.start + at + part.len(),
            None => node.span.clone(),
        }
    }
}
