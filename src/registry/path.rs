//! The place of a value in an entry, as messages write it: `wasi.mounts[1].fs`.

use std::fmt;

use super::{
    diagnostic::shown,
    document::{Node, Value},
};

/// A path from an entry to one of its values. Borrowed, so that walking a sound entry allocates nothing.
#[derive(Clone, Copy)]
pub(super) enum FieldPath<'a> {
    Root,
    Field(&'a FieldPath<'a>, &'a str),
    Item(&'a FieldPath<'a>, usize),
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(&shown(name)),
            Self::Field(parent, name) => write!(f, "{parent}.{}", shown(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The span of a field given by its path, or of the nearest parent that the entry has; `None` when it has not even that.
pub(super) fn span_of(entry: &Node, path: &str) -> Option<std::ops::Range<usize>> {
    let mut node = entry;
    let mut span = None;
    for step in path.split(['.', '[']) {
        let next = match step.strip_suffix(']') {
            Some(index) => match index.parse::<usize>().ok().and_then(|index| node.items().get(index)) {
                Some(item) => (item, item.span.clone()),
                None => return span,
            },
            None => match node.pair(step) {
                // A mapping or list has no place of its own that says more than its key.
                Some(pair) => match pair.value.value {
                    Value::Scalar(_) if !pair.value.span.is_empty() => (&pair.value, pair.value.span.clone()),
                    _ => (&pair.value, pair.key_span.clone()),
                },
                None => return span,
            },
        };
        node = next.0;
        span = Some(next.1);
    }
    span
}
