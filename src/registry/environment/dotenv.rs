//! The `.env` format: `KEY=value`, `export`, comments and quotes. Nothing is substituted in values: crates that read this
//! format fill in variables of the process, which a registry must never do.

use std::ops::Range;

/// One assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: String,
    /// The bytes of the assignment, without the line break.
    pub(super) span: Range<usize>,
}

/// A line that is no assignment. Says nothing of what the line holds, which may be secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct DotenvError {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// Reads all assignments of a text, in order.
///
/// # Errors
/// The first line that is no assignment.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, DotenvError> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.find('\n').unwrap_or(rest.len());
        let content = rest.get(..end).unwrap_or_default();
        let trimmed = content.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            at += end + 1;
            line += 1;
            continue;
        }
        let fail = |reason| DotenvError { line, reason };
        let (before, after) = content.split_once('=').ok_or_else(|| fail("there is no `=`"))?;
        let key = before.trim();
        let key = key.strip_prefix("export").filter(|key| key.starts_with(char::is_whitespace)).unwrap_or(key).trim();
        if !is_key(key) {
            return Err(fail("a name has letters, digits, `_`, `-` and `.` only"));
        }
        let blank = after.len() - after.trim_start_matches([' ', '\t']).len();
        let value_at = at + before.len() + 1 + blank;
        let (value, length) = value(text.get(value_at..).unwrap_or_default()).map_err(fail)?;
        let stop = value_at + length;
        line += 1 + text.get(at..stop).unwrap_or_default().matches('\n').count();
        out.push(Assignment { key: key.to_owned(), value, span: at..stop });
        at = stop + 1;
    }
    Ok(out)
}

/// Whether a name can be written to a file so that it is read back.
pub(super) fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Reads a value and tells how many bytes it takes, up to the end of its line.
fn value(text: &str) -> Result<(String, usize), &'static str> {
    let line_end = |from: usize| text.get(from..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| from + end);
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        let end = line_end(0);
        let line = text.get(..end).unwrap_or_default();
        // A `#` inside a word belongs to the word: passwords and URLs have them.
        let comment = line.char_indices().find(|(at, c)| {
            *c == '#' && line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace))
        });
        let value = comment.map_or(line, |(at, _)| line.get(..at).unwrap_or_default());
        return Ok((value.trim().to_owned(), end));
    };
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other @ ('"' | '\\' | '$'))) => value.push(other),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            _ if character == quote => {
                let end = line_end(at);
                let after = text.get(at + 1..end).unwrap_or_default().trim();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err("something follows the closing quote");
                }
                return Ok((value, end));
            }
            _ => value.push(character),
        }
    }
    Err("a quote is not closed")
}

/// The text with one variable set: its last assignment replaced, with the comment behind it, or one added at the end.
///
/// # Errors
/// The first line of `text` that is no assignment.
pub(super) fn with(text: &str, key: &str, value: &str) -> Result<String, DotenvError> {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    let assignment = format!("{key}=\"{escaped}\"");
    let assignments = parse(text)?;
    let mut out = text.to_owned();
    match assignments.iter().rfind(|assignment| assignment.key == key) {
        Some(last) => out.replace_range(last.span.clone(), &assignment),
        None => {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&assignment);
            out.push('\n');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|assignment| (assignment.key, assignment.value)).collect()
    }

    fn one(text: &str) -> String {
        let all = read(text);
        assert_eq!(all.len(), 1, "{text}");
        all.into_iter().next().unwrap().1
    }

    #[test]
    fn assignments_have_quotes_comments_and_export() {
        assert_eq!(one("A=1"), "1");
        assert_eq!(one("  export A = b c  # comment\r\n"), "b c");
        assert_eq!(one("A=p#ss # comment"), "p#ss");
        assert_eq!(one("A=# nothing"), "");
        assert_eq!(one("A="), "");
        assert_eq!(one("A=a=b=="), "a=b==");
        assert_eq!(one(r#"A="a\n\"b\" $X \\ \q" # c"#), "a\n\"b\" $X \\ \\q");
        assert_eq!(one("A='a\\n\"#'"), "a\\n\"#");
        assert_eq!(one("A=\"two\nlines\""), "two\nlines");
        assert_eq!(one("A=$HOME"), "$HOME");
        assert_eq!(one("exported=1"), "1");
        assert_eq!(read("# c\n\nA=1\nB=2\n"), [("A".into(), "1".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_by_its_number() {
        let line = |text: &str| parse(text).unwrap_err().line;
        assert_eq!(line("A=1\nnonsense"), 2);
        assert_eq!(line("A='1\n2'\n\n=3"), 4);
        assert_eq!(line("A=\"open"), 1);
        assert_eq!(line("A=\"x\" y"), 1);
        assert_eq!(line("A B=1"), 1);
    }

    #[test]
    fn a_set_variable_is_read_back_and_others_stay() {
        for value in ["", "a b", "#", "\"q\"", "two\nlines", "back\\slash", "$X", "é'"] {
            let text = with("# head\nA=1\nB='x\ny' # note\nC=3", "B", value).unwrap();
            let all = read(&text);
            assert_eq!(all[1], ("B".to_owned(), value.to_owned()));
            assert_eq!(all[2].1, "3");
            assert!(text.starts_with("# head\nA=1\n"));
            assert_eq!(one(&with("", "N", value).unwrap()), value);
        }
        assert_eq!(with("A=1", "B", "2").unwrap(), "A=1\nB=\"2\"\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_value_is_written_and_read_back(value in "(?s).{0,40}") {
            let text = with("A=1\n", "K", &value).unwrap();
            proptest::prop_assert_eq!(&read(&text)[1].1, &value);
        }
    }
}
