//! Where the entries of a loaded registry stand in their files, for faults that are found after the load.
//!
//! A marked tree is many times as large as its text and hardly ever asked for once the load is over, so trees are not
//! kept: a file is parsed once more when one of its entries is at fault.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{
    document::{self, Node},
    path,
    raw::{self, Index},
    source::SourceFile,
};

/// The places of all entries.
#[derive(Default)]
pub(super) struct Places {
    files: Vec<File>,
    /// For each entry, in the order of ids: its file, and which of that file's entries it is.
    entries: Vec<(u32, u32)>,
}

struct File {
    source: Arc<SourceFile>,
    tree: OnceLock<Option<Arc<Node>>>,
}

impl Places {
    pub(super) fn of(index: &Index) -> Self {
        let mut places = Self::default();
        let mut known = HashMap::new();
        for entry in index.in_id_order().filter_map(|number| index.entries.get(number)) {
            let file = *known.entry(Arc::as_ptr(&entry.file)).or_insert_with(|| {
                places.files.push(File { source: Arc::clone(&entry.file), tree: OnceLock::new() });
                (places.files.len() - 1) as u32
            });
            places.entries.push((file, entry.item));
        }
        places.entries.shrink_to_fit();
        places
    }

    /// The file of an entry, and the span of one of its fields there: that of the nearest parent, or else of the entry's
    /// name, when it does not have the field.
    pub(super) fn find(&self, entry: usize, field: &str) -> Option<(&Arc<SourceFile>, Range<usize>)> {
        let (file, item) = *self.entries.get(entry)?;
        let file = self.files.get(file as usize)?;
        let tree = file.tree.get_or_init(|| document::parse(&file.source).ok().flatten()).as_ref()?;
        let node = raw::items(tree).get(item as usize)?;
        let span = path::span_of(node, field).or_else(|| Some(node.get("name")?.span.clone()))?;
        Some((&file.source, span))
    }
}
