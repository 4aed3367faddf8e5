//! Diagnostics as text for people: file, line and column, the source line, what is wrong, what would do.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity, secret::masked};

/// The most bytes of a file that one diagnostic shows. Longer excerpts, or lines, are named but not shown.
const EXCERPT_BYTES_MAX: usize = 4096;

impl Diagnostic {
    /// This diagnostic in the manner of rustc, with ANSI colours if asked for. Ends without a line break.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        match self.excerpts() {
            Some(excerpts) => {
                for excerpt in excerpts {
                    group = excerpt.add_to(group);
                }
            }
            None => {
                if let Some(file) = &self.file {
                    group = group.element(Origin::path(file.as_str()));
                }
            }
        }
        if let Some(note) = self.subject() {
            group = group.element(Level::NOTE.message(note));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The entry and the field in words.
    fn subject(&self) -> Option<String> {
        match (&self.entry, &self.field) {
            (Some(entry), Some(field)) => Some(format!("in entry `{entry}`, field `{field}`")),
            (Some(entry), None) => Some(format!("in entry `{entry}`")),
            (None, Some(field)) => Some(format!("in field `{field}`")),
            (None, None) => None,
        }
    }

    /// One excerpt for all labels when they are close together in one file, else one for each.
    fn excerpts(&self) -> Option<Vec<Excerpt<'_>>> {
        let first = self.labels.first()?;
        let same_file = self.labels.iter().all(|label| label.file.shown() == first.file.shown());
        let together = Excerpt::of(&self.labels);
        if same_file && together.bytes.len() <= EXCERPT_BYTES_MAX {
            return Some(vec![together]);
        }
        Some(self.labels.chunks(1).map(Excerpt::of).collect())
    }
}

/// Some lines of one file and what is marked in them.
struct Excerpt<'a> {
    labels: &'a [Label],
    bytes: Range<usize>,
    first_line: usize,
}

impl<'a> Excerpt<'a> {
    fn of(labels: &'a [Label]) -> Self {
        let (mut first, mut last) = (usize::MAX, 0);
        for label in labels {
            first = first.min(label.file.line_index(label.span.start));
            last = last.max(label.file.line_index(label.span.end));
        }
        let bytes = labels.first().map_or(0..0, |label| label.file.lines(first, last));
        Self { labels, bytes, first_line: first }
    }

    fn add_to(self, group: Group<'a>) -> Group<'a> {
        let Some(main) = self.labels.first() else { return group };
        let shown = main.file.shown();
        let fits = self.bytes.len() <= EXCERPT_BYTES_MAX;
        let text = if fits { masked(main.file.text(), self.bytes.clone()) } else { None };
        let Some(text) = text else {
            let (line, column) = main.file.position(main.span.start);
            let group = group.element(Origin::path(shown).line(line).char_column(column));
            return if main.text.is_empty() { group } else { group.element(Level::NOTE.message(main.text.as_str())) };
        };
        let within = |offset: usize| offset.saturating_sub(self.bytes.start).min(text.len());
        let annotations: Vec<_> = self
            .labels
            .iter()
            .enumerate()
            .map(|(index, label)| {
                let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let span = within(label.span.start)..within(label.span.end.max(label.span.start));
                let label = Some(label.text.as_str()).filter(|text| !text.is_empty());
                kind.span(span).label(label)
            })
            .collect();
        group.element(Snippet::source(text).line_start(self.first_line + 1).path(shown).annotations(annotations))
    }
}

impl Diagnostics {
    /// All diagnostics in the manner of rustc, with ANSI colours if asked for, and a count at the end.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.list {
            out.push_str(&diagnostic.render(colour));
            out.push_str("\n\n");
        }
        let count = |number: usize, what: &str| match number {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{number} {what}s")),
        };
        let counts = [count(self.errors().count(), "error"), count(self.warnings().count(), "warning")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if !counts.is_empty() {
            out.push_str(&counts.join(", "));
            out.push('\n');
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
