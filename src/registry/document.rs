//! A YAML document as a tree that knows where each key and value stands. Which fields there are is `kinds`' business.
//!
//! `saphyr-parser` gives events with marks; `serde_yaml` gives values without them. Everything a file can do to make the
//! tree large or deep is bounded here, so that what walks the tree may recurse.

mod build;
mod scalar;

use std::{ops::Range, sync::Arc};

pub(super) use build::parse;
pub(super) use scalar::{Resolved, Scalar};

/// How deep lists and mappings may nest.
pub(super) const DEPTH_MAX: usize = 64;
/// How many nodes aliases may stand for, in one file.
pub(super) const ALIASED_NODES_MAX: usize = 100_000;

/// A value and where it stands.
pub(super) struct Node {
    /// Where messages point: the value's first line.
    pub(super) span: Range<usize>,
    pub(super) value: Value,
    /// The keys of a mapping that were given more than once; the first of each is kept.
    pub(super) repeats: Vec<Repeat>,
    /// Nodes of this tree, itself included.
    weight: usize,
    /// Levels of lists and mappings.
    height: usize,
}

/// What a node holds.
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<Pair>),
}

/// A key and its value.
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Arc<Node>,
}

/// A key that a mapping has already.
#[derive(Clone)]
pub(super) struct Repeat {
    pub(super) key: String,
    pub(super) first: Range<usize>,
    pub(super) again: Range<usize>,
}

impl Node {
    fn new(span: Range<usize>, value: Value) -> Self {
        let size = |nodes: &mut dyn Iterator<Item = &Arc<Node>>| {
            nodes.fold((1, 1), |(weight, height), node| {
                (usize::saturating_add(weight, node.weight), usize::max(height, node.height + 1))
            })
        };
        let (weight, height) = match &value {
            Value::Scalar(_) => (1, 0),
            Value::List(items) => size(&mut items.iter()),
            Value::Map(pairs) => size(&mut pairs.iter().map(|pair| &pair.value)),
        };
        Self { span, value, repeats: Vec::new(), weight, height }
    }

    /// The same place with another value.
    pub(super) fn replaced(&self, value: Value) -> Arc<Self> {
        Arc::new(Self { repeats: self.repeats.clone(), ..Self::new(self.span.clone(), value) })
    }

    #[cfg(test)]
    pub(super) fn leaf(span: Range<usize>, value: Value) -> Arc<Self> {
        Arc::new(Self::new(span, value))
    }

    /// The pairs of a mapping; none for anything else.
    pub(super) fn pairs(&self) -> &[Pair] {
        match &self.value {
            Value::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Arc<Node>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A field of a mapping.
    pub(super) fn pair(&self, key: &str) -> Option<&Pair> {
        self.pairs().iter().find(|pair| pair.key == key)
    }

    /// The value of a field of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Node>> {
        self.pair(key).map(|pair| &pair.value)
    }

    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar, unless its placeholders have no value.
    pub(super) fn text(&self) -> Option<&str> {
        self.scalar().filter(|scalar| !scalar.broken).map(|scalar| scalar.text.as_str())
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self) -> Option<u64> {
        match self.scalar()?.resolve() {
            Resolved::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.scalar()?.resolve() {
            Resolved::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Whether the value is `null`, or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| !scalar.broken && matches!(scalar.resolve(), Resolved::Null))
    }

    /// What it is, in words: `the number 5`.
    pub(super) fn described(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.described(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}
