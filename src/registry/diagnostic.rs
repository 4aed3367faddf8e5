//! What is wrong with a registry, where, and what to write instead. Diagnostics are collected, never thrown: a load
//! reports all of them. Rendering is in `diagnostic/render.rs`.

mod render;
mod secret;

use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

use greenroom_actors::spec::FunctionId;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::source::SourceFile;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The entry, or the whole file, cannot be used.
    Error,
    /// The entry can be used, but probably not as meant. Does not change exit codes.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong: what, where, and what would do.
///
/// Displays as plain text in the manner of rustc. Serialises as
/// `{severity, message, file, line, column, entry, field, help, related}`, absent parts left out.
#[derive(Clone)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    labels: Vec<Label>,
    file: Option<String>,
    help: Vec<String>,
    entry: Option<FunctionId>,
    field: Option<String>,
}

/// A marked place of a file. The first of a diagnostic is the place itself; others are what it clashes with.
#[derive(Clone)]
struct Label {
    file: Arc<SourceFile>,
    span: Range<usize>,
    text: String,
}

impl Diagnostic {
    /// An error without a place.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    /// A diagnostic without a place.
    pub(crate) fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            message: message.into(),
            labels: Vec::new(),
            file: None,
            help: Vec::new(),
            entry: None,
            field: None,
        }
    }

    /// Names the file when no line of it can be shown.
    pub(super) fn in_file(mut self, shown: &str) -> Self {
        self.file = Some(shown.to_owned());
        self
    }

    /// Adds a place. The first one added is where the fault is.
    pub(super) fn at(mut self, file: &Arc<SourceFile>, span: Range<usize>, text: impl Into<String>) -> Self {
        self.and_at(file, span, text);
        self
    }

    /// Adds another place.
    pub(super) fn and_at(&mut self, file: &Arc<SourceFile>, span: Range<usize>, text: impl Into<String>) -> &mut Self {
        self.labels.push(Label { file: Arc::clone(file), span, text: text.into() });
        self
    }

    /// Names the entry and the field, written `pool.max_size` or `wasi.mounts[1].fs`; an empty field is left out.
    pub(super) fn of(mut self, entry: Option<&FunctionId>, field: impl Into<String>) -> Self {
        self.entry = entry.cloned();
        self.field = Some(field.into()).filter(|field| !field.is_empty());
        self
    }

    /// Says what the marked place is.
    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// Says what would do.
    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help.push(text.into());
        self
    }

    /// How grave it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one short sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file, as the user named the registry root and the path below it.
    pub fn file(&self) -> Option<&str> {
        self.labels.first().map(|label| label.file.shown()).or(self.file.as_deref())
    }

    /// Line and column, both counted from 1, columns in characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.labels.first().map(|label| label.file.position(label.span.start))
    }

    /// The entry it is about.
    pub fn entry(&self) -> Option<&FunctionId> {
        self.entry.as_ref()
    }

    /// The field it is about, such as `pool.max_size`.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What would do, one sentence each.
    pub fn helps(&self) -> &[String] {
        &self.help
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        match (self.file(), self.position()) {
            (Some(file), Some((line, column))) => write!(f, " ({file}:{line}:{column})"),
            (Some(file), None) => write!(f, " ({file})"),
            _ => Ok(()),
        }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("severity", &self.severity)?;
        map.serialize_entry("message", &self.message)?;
        if let Some(file) = self.file() {
            map.serialize_entry("file", file)?;
        }
        if let Some((line, column)) = self.position() {
            map.serialize_entry("line", &line)?;
            map.serialize_entry("column", &column)?;
        }
        if let Some(entry) = &self.entry {
            map.serialize_entry("entry", entry.as_str())?;
        }
        if let Some(field) = &self.field {
            map.serialize_entry("field", field)?;
        }
        if !self.help.is_empty() {
            map.serialize_entry("help", &self.help)?;
        }
        if self.labels.len() > 1 {
            let related = self.labels.iter().skip(1).map(|label| {
                let (line, column) = label.file.position(label.span.start);
                serde_json::json!({ "file": label.file.shown(), "line": line, "column": column, "message": label.text })
            });
            map.serialize_entry("related", &related.collect::<Vec<_>>())?;
        }
        map.end()
    }
}

/// All diagnostics of a load, in the order of files and lines.
///
/// Displays as all of them in plain text, with a count at the end. Serialises as a list.
#[derive(Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// How many each file has, and how many of them were left out.
    per_file: HashMap<String, (usize, usize)>,
    /// Takes what goes beyond the bound, so that callers of `push` need not know of it.
    overflow: Option<Box<Diagnostic>>,
}

impl Diagnostics {
    /// How many diagnostics of one file are kept. A file with more is not a registry file, or has one fault many times.
    pub const PER_FILE_MAX: usize = 200;

    /// Adds one. Beyond [`Diagnostics::PER_FILE_MAX`] of a file, it is only counted.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        let (count, left_out) = self.per_file.entry(diagnostic.file().unwrap_or_default().to_owned()).or_default();
        *count += 1;
        if *count > Self::PER_FILE_MAX {
            *left_out += 1;
            return self.overflow.insert(Box::new(diagnostic));
        }
        self.list.push(diagnostic);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Whether more diagnostics of this file would only be counted, so that nobody need find out what to advise.
    pub(super) fn is_full(&self, file: &str) -> bool {
        self.per_file.get(file).is_some_and(|(count, _)| *count >= Self::PER_FILE_MAX)
    }

    /// Sorts by place and says what was left out. Called once, when a load ends.
    pub(super) fn finish(&mut self) {
        self.list.sort_by_cached_key(|diagnostic| {
            (diagnostic.file().map(str::to_owned), diagnostic.position().unwrap_or_default(), diagnostic.severity)
        });
        let mut left_out: Vec<_> = self.per_file.drain().filter(|(_, (_, left_out))| *left_out > 0).collect();
        left_out.sort();
        for (file, (_, count)) in left_out {
            let message = format!("there are {count} more errors and warnings in `{file}`");
            self.list.push(Diagnostic::error(message).in_file(&file));
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The warnings alone.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning)
    }
}

impl Extend<Diagnostic> for Diagnostics {
    /// Adds what later stages found, such as faults of compilation.
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.list.extend(diagnostics);
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.list)
    }
}

impl std::error::Error for Diagnostics {}

/// A text of the user as messages show it: at most 80 characters, control characters escaped, private keys left out.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut out = String::new();
    for (count, character) in secret::cut(text).chars().enumerate() {
        if count == CHARS_MAX {
            out.push('…');
            break;
        }
        if character.is_control() { out.extend(character.escape_default()) } else { out.push(character) }
    }
    out
}

/// The candidate that was probably meant: the nearest, if it is near enough to be a slip of the pen.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Beyond this no name of ours is near, and distances cost the product of both lengths.
    const CHARS_MAX: usize = 120;
    if word.len() > CHARS_MAX {
        return None;
    }
    // `maxSize` and `max-size` are slips of `max_size` however many letters they differ in.
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .map(|(_, candidate)| candidate)
}
