//! From parser events to the tree.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    super::{
        diagnostic::{Diagnostic, shown},
        source::SourceFile,
    },
    ALIASED_NODES_MAX, DEPTH_MAX, Node, Pair, Repeat, Scalar, Value,
};

/// Parses one file. `Ok(None)` for a file without a value.
///
/// Duplicate keys are noted in the tree, and the first kept. Anything worse leaves no tree to go on with.
pub(in super::super) fn parse(file: &Arc<SourceFile>) -> Result<Option<Arc<Node>>, Box<Diagnostic>> {
    let mut builder = Builder {
        file,
        offsets: Offsets::new(file.text()),
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        aliased: 0,
        documents: 0,
    };
    let mut parser = Parser::new_from_str(file.text());
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| builder.syntax_error(&error))?;
        builder.on(event, span)?;
    }
    Ok(builder.root)
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    offsets: Offsets<'a>,
    open: Vec<Open>,
    root: Option<Arc<Node>>,
    anchors: HashMap<usize, Arc<Node>>,
    /// Nodes that aliases stood for so far.
    aliased: usize,
    documents: usize,
}

/// A list or mapping that has not ended.
struct Open {
    anchor: usize,
    start: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Arc<Node>>),
    Map { pairs: Vec<Pair>, keys: HashMap<String, usize>, key: Option<(String, Range<usize>)>, repeats: Vec<Repeat> },
}

type Step = Result<(), Box<Diagnostic>>;

impl Builder<'_> {
    fn on(&mut self, event: Event<'_>, span: Span) -> Step {
        let span = self.offsets.bytes(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.fail(span, "a registry file holds one YAML document", "a second one starts here"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), &span)?;
                let mut text = text.into_owned();
                // The parser's strings have room for more, and a tree has a great many.
                text.shrink_to_fit();
                let node = Node::new(self.first_line(span), Value::Scalar(Scalar::new(text, plain)));
                self.add(anchor, Arc::new(node))?;
            }
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::SequenceStart(anchor, tag) => {
                self.is_text(tag.as_deref(), &span)?;
                self.open(anchor, span, OpenKind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.is_text(tag.as_deref(), &span)?;
                self.open(
                    anchor,
                    span,
                    OpenKind::Map { pairs: Vec::new(), keys: HashMap::new(), key: None, repeats: Vec::new() },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let (value, repeats) = match open.kind {
                    OpenKind::List(items) => (Value::List(items), Vec::new()),
                    OpenKind::Map { mut pairs, repeats, .. } => {
                        pairs.shrink_to_fit();
                        (Value::Map(pairs), repeats)
                    }
                };
                let span = self.first_line(open.start..span.end);
                self.add(open.anchor, Arc::new(Node { repeats, ..Node::new(span, value) }))?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, span: Range<usize>, kind: OpenKind) -> Step {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("lists and mappings nest deeper than {DEPTH_MAX} levels");
            return Err(self.fail(span, message, "this one is too deep"));
        }
        if let Some(Open { kind: OpenKind::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(self.fail(span, "a key is a list or a mapping", "keys are strings"));
        }
        self.open.push(Open { anchor, start: span.start, kind });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Step {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.fail(span, "an alias stands for something that holds it", "this alias has no end"));
        };
        self.aliased = self.aliased.saturating_add(node.weight);
        if self.aliased > ALIASED_NODES_MAX {
            let message = format!("aliases stand for more than {ALIASED_NODES_MAX} values");
            return Err(self.fail(span, message, "this alias goes beyond"));
        }
        if self.open.len() + node.height > DEPTH_MAX {
            let message = format!("lists and mappings nest deeper than {DEPTH_MAX} levels");
            return Err(self.fail(span, message, "this alias is too deep"));
        }
        self.add(0, node)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, anchor: usize, node: Arc<Node>) -> Step {
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { pairs, keys, key, repeats } => match key.take() {
                Some((key, key_span)) => match keys.entry(key.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(pairs.len());
                        pairs.push(Pair { key, key_span, value: node });
                    }
                    Entry::Occupied(first) => {
                        let first = pairs.get(*first.get()).map(|pair| pair.key_span.clone());
                        repeats.push(Repeat { key, first: first.unwrap_or_default(), again: key_span });
                    }
                },
                None => match node.scalar() {
                    Some(scalar) => *key = Some((scalar.text.clone(), node.span.clone())),
                    None => {
                        return Err(self.fail(node.span.clone(), "a key is a list or a mapping", "keys are strings"));
                    }
                },
            },
        }
        Ok(())
    }

    /// Whether a tag makes a plain scalar a text. Tags of the core schema other than `!!str` change nothing here, as
    /// every field has a type of its own.
    fn is_text(&self, tag: Option<&Tag>, span: &Range<usize>) -> Result<bool, Box<Diagnostic>> {
        let Some(tag) = tag else { return Ok(false) };
        if tag.is_yaml_core_schema() {
            return Ok(tag.suffix == "str");
        }
        if tag.handle.is_empty() && tag.suffix == "!" {
            return Ok(true);
        }
        let message = format!("the tag `{}` means nothing in a registry file", shown(&tag.to_string()));
        Err(self.fail(span.clone(), message, "remove the tag of this value"))
    }

    /// The part of a span on its first line.
    fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let text = self.file.text().get(span.clone()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        span.start..span.start + line.len()
    }

    fn fail(&self, span: Range<usize>, message: impl Into<String>, label: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(message).at(self.file, self.first_line(span), label))
    }

    fn syntax_error(&self, error: &ScanError) -> Box<Diagnostic> {
        let text = self.file.text();
        let at = self.offsets.byte(error.marker().index());
        let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |first| at + first.len_utf8());
        let mut diagnostic = self.fail(at..end, "this is not YAML", &shown(error.info()));
        let line = text.get(self.file.lines(self.file.line_index(at), self.file.line_index(at))).unwrap_or_default();
        if line.trim_start_matches(' ').starts_with('\t') {
            diagnostic.help("indent with spaces: YAML does not allow tabs there");
        }
        diagnostic
    }
}

/// Turns offsets in characters, which the parser counts, into offsets in bytes.
struct Offsets<'a> {
    text: &'a str,
    /// The byte at which every `STEP`th character starts; none for ASCII, where both are the same.
    steps: Vec<usize>,
}

impl<'a> Offsets<'a> {
    const STEP: usize = 256;

    fn new(text: &'a str) -> Self {
        let steps = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(Self::STEP).map(|(byte, _)| byte).collect()
        };
        Self { text, steps }
    }

    fn byte(&self, index: usize) -> usize {
        if self.steps.is_empty() {
            return index.min(self.text.len());
        }
        let Some(start) = self.steps.get(index / Self::STEP).copied() else { return self.text.len() };
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(index % Self::STEP).map_or(self.text.len(), |(byte, _)| start + byte)
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}
