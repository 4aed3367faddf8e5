//! Makes a package of WIT out of what a `wit` field says: single functions and types become a world.
//!
//! Only the outermost statements are told apart here; wit-parser reads what they say. A map back to the author's text is
//! kept, so that errors name the author's lines.

use crate::wasm::error::PrepareError;

/// A statement of the outermost level.
struct Statement<'a> {
    /// Where it begins in the text, after comments.
    start: usize,
    /// Its first word: `interface`, `world`, `record`, or the name of a function.
    word: &'a str,
    /// Its second word, which is the name of what `interface` and `world` define.
    name: &'a str,
    /// Whether its first word is followed by a colon, as the name of a function is.
    is_item: bool,
    /// Whether it ends with `;` or `}`.
    ended: bool,
}

/// The text of a package, and where each piece of it comes from.
pub(super) struct Package {
    pub text: String,
    /// Offsets of pieces of the author's text: in the package, in the author's text.
    pieces: Vec<(usize, usize)>,
}

/// Whether a text says nothing.
pub(super) fn is_empty(text: &str) -> bool {
    statements(text).is_empty()
}

impl Package {
    pub(super) fn of(text: &str) -> Self {
        let statements = statements(text);
        let has = |word: &str| statements.iter().any(|statement| statement.word == word);
        let mut package = Self { text: String::with_capacity(text.len() + 64), pieces: Vec::new() };
        if !has("package") {
            package.text.push_str("package fn:user; ");
        }
        if has("package") || has("interface") || has("world") {
            package.take(text, 0, text.len());
            if !has("world") {
                // Interfaces alone: a world that exports them all is what their author means.
                let interfaces = statements.iter().filter(|statement| statement.word == "interface");
                let exports: String = interfaces.map(|interface| format!("export {}; ", interface.name)).collect();
                if !exports.is_empty() {
                    package.text.push_str(&format!("\nworld functions {{ {exports} }}"));
                }
            }
            return package;
        }
        package.text.push_str("world functions {\n");
        let mut taken = 0;
        for statement in &statements {
            if statement.is_item {
                package.take(text, taken, statement.start);
                package.text.push_str("export ");
                taken = statement.start;
            }
        }
        package.take(text, taken, text.len());
        if statements.last().is_some_and(|statement| !statement.ended) {
            // After a newline, because a comment may come last.
            package.text.push_str("\n;");
        }
        package.text.push_str("\n}");
        package
    }

    fn take(&mut self, text: &str, from: usize, to: usize) {
        self.pieces.push((self.text.len(), from));
        self.text.push_str(&text[from..to]);
    }

    /// An error about a place in the package, told in terms of the author's text.
    pub(super) fn error(&self, text: &str, message: &str, offset: Option<u32>) -> PrepareError {
        let message = message.lines().next().unwrap_or_default();
        let Some(offset) = offset.and_then(|offset| self.authors(usize::try_from(offset).ok()?, text)) else {
            return PrepareError::invalid("wit", format!("`wit` does not parse: {message}"));
        };
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) = (before.matches('\n').count() + 1, text[line_start..offset].chars().count() + 1);
        let shown = text[line_start..].lines().next().unwrap_or_default();
        PrepareError::invalid("wit", format!("`wit` does not parse: {message} (line {line}, column {column})"))
            .with_notes([
                format!("{line} | {shown}"),
                format!("{:>width$}", '^', width = line.to_string().len() + 3 + column),
            ])
    }

    /// The offset in the author's text of an offset in the package.
    fn authors(&self, offset: usize, text: &str) -> Option<usize> {
        let (in_package, in_text) = self.pieces.iter().rev().find(|(in_package, _)| *in_package <= offset)?;
        let offset = (in_text + offset - in_package).min(text.len());
        text.is_char_boundary(offset).then_some(offset)
    }
}

fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut found: Vec<Statement<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut open = false;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = blank(rest) {
            at += length;
            continue;
        }
        if !open {
            if let Some(length) = attribute(rest) {
                at += length;
                continue;
            }
            let word = word(rest);
            let after = skip_blanks(&rest[word.len()..]);
            let name = self::word(after);
            let is_item = !word.is_empty() && after.starts_with(':');
            found.push(Statement { start: at, word, name, is_item, ended: false });
            open = true;
            // At least one character, so that what is no word does not hold the scan.
            at += word.len().max(rest.chars().next().map_or(1, char::len_utf8));
            if word.is_empty() {
                at -= rest.chars().next().map_or(1, char::len_utf8);
            } else {
                continue;
            }
        }
        let c = rest.chars().next().unwrap_or(' ');
        at += c.len_utf8();
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                // `use a.{b};` goes on after its braces.
                open = depth > 0 || skip_blanks(&text[at..]).starts_with(';');
            }
            ';' if depth == 0 => open = false,
            _ => continue,
        }
        if !open && let Some(last) = found.last_mut() {
            last.ended = true;
        }
    }
    found
}

/// The length of white space or a comment at the start, if there is any.
fn blank(text: &str) -> Option<usize> {
    if let Some(comment) = text.strip_prefix("//") {
        return Some(2 + comment.find('\n').unwrap_or(comment.len()));
    }
    if text.starts_with("/*") {
        let (mut depth, mut at) = (0_usize, 0);
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            match () {
                () if rest.starts_with(b"/*") => (depth, at) = (depth + 1, at + 2),
                () if rest.starts_with(b"*/") => (depth, at) = (depth - 1, at + 2),
                () => at += 1,
            }
            if depth == 0 {
                return Some(at);
            }
        }
        return Some(text.len());
    }
    let length = text.len() - text.trim_start().len();
    (length > 0).then_some(length)
}

fn skip_blanks(mut text: &str) -> &str {
    while let Some(length) = blank(text) {
        text = &text[length..];
    }
    text
}

/// The length of `@since(version = 1.0.0)` and the like at the start, if there is one.
fn attribute(text: &str) -> Option<usize> {
    let name = word(text.strip_prefix('@')?);
    let rest = &text[1 + name.len()..];
    let arguments = if rest.starts_with('(') { rest.find(')').map_or(rest.len(), |end| end + 1) } else { 0 };
    Some(1 + name.len() + arguments)
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '%'))).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(&str, bool, bool)> {
        statements(text).iter().map(|s| (s.word, s.is_item, s.ended)).collect()
    }

    #[test]
    fn statements_are_told_apart() {
        assert_eq!(words("a: func(); b: func() -> s32"), [("a", true, true), ("b", true, false)]);
        assert_eq!(
            words("/// doc; {\nrecord r { x: u8, } /* } /* ; */ */ f: func(r: r);"),
            [("record", false, true), ("f", true, true)]
        );
        assert_eq!(
            words("use a:b/c.{d}; @since(version = 1.0.0)\nf: func();"),
            [("use", false, true), ("f", true, true)]
        );
        assert_eq!(words(" // nothing\n"), []);
        assert_eq!(words("}}};é{"), [("", false, true), ("", false, true), ("", false, true), ("é", false, false)]);
    }
}
