//! The placeholders of strings: `${env:NAME}`, `${env:NAME|default}`, and `$${` for a literal `${`. What NAME stands for
//! is `environment`'s business.

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
}

/// Whether a string may hold anything that [`pieces`] changes.
pub(super) fn is_candidate(text: &str) -> bool {
    text.contains("${")
}

/// Splits a string into pieces. `${` that is followed by anything but a word like `env:` is literal, so that texts in
/// other languages keep theirs.
///
/// # Errors
/// What is wrong with a placeholder, in a few words.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let inside = after.get(2..).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            out.push(Piece::Literal(before));
            out.push(Piece::Literal("${"));
            rest = inside;
            continue;
        }
        let Some(named) = inside.strip_prefix("env:") else {
            misspelt(inside)?;
            out.push(Piece::Literal(before));
            out.push(Piece::Literal("${"));
            rest = inside;
            continue;
        };
        let Some((body, after)) = named.split_once('}') else {
            return Err("this placeholder has no closing `}`".to_owned());
        };
        let (name, default) = match body.split_once('|') {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (body.trim(), None),
        };
        if name.is_empty() {
            return Err("this placeholder names no variable".to_owned());
        }
        out.push(Piece::Literal(before));
        out.push(Piece::Variable { name, default });
        rest = after;
    }
    out.push(Piece::Literal(rest));
    out.retain(|piece| *piece != Piece::Literal(""));
    Ok(out)
}

/// Refuses `${ENV:…}`, `${Env:…}` and `${evn:…}`: left alone, they would reach a guest as they stand.
fn misspelt(inside: &str) -> Result<(), String> {
    let word: String = inside.chars().take_while(char::is_ascii_alphabetic).take(8).collect();
    let near = strsim::damerau_levenshtein(&word.to_lowercase(), "env") <= 1;
    if near && inside.get(word.len()..).is_some_and(|rest| rest.starts_with(':')) {
        return Err(format!(
            "`${{{word}:` is no placeholder; did you mean `${{env:`? A literal `${{` is written `$${{`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Piece::*, *};

    #[test]
    fn placeholders_are_found_among_literals() {
        assert_eq!(pieces("plain"), Ok(vec![Literal("plain")]));
        assert_eq!(pieces(""), Ok(vec![]));
        assert_eq!(
            pieces("a${env:X}b${env: ns:y |d:e}"),
            Ok(vec![
                Literal("a"),
                Variable { name: "X", default: None },
                Literal("b"),
                Variable { name: "ns:y", default: Some("d:e") },
            ])
        );
        assert_eq!(pieces("${env:X|}"), Ok(vec![Variable { name: "X", default: Some("") }]));
        assert_eq!(pieces("${env:X|a|b}"), Ok(vec![Variable { name: "X", default: Some("a|b") }]));
    }

    #[test]
    fn a_doubled_dollar_is_a_literal() {
        assert_eq!(pieces("$${env:X}"), Ok(vec![Literal("${"), Literal("env:X}")]));
        assert_eq!(pieces("a $$${"), Ok(vec![Literal("a $"), Literal("${")]));
    }

    #[test]
    fn other_languages_keep_their_braces() {
        assert_eq!(
            pieces("${HOME} ${x:-y}"),
            Ok(vec![Literal("${"), Literal("HOME} "), Literal("${"), Literal("x:-y}"),])
        );
    }

    #[test]
    fn faulty_placeholders_say_what_is_wrong() {
        assert!(pieces("${env:X").unwrap_err().contains("closing"));
        assert!(pieces("${env:}").unwrap_err().contains("no variable"));
        assert!(pieces("${env:|x}").unwrap_err().contains("no variable"));
        for text in ["${ENV:X}", "${evn:X}", "${en:X}"] {
            assert!(pieces(text).unwrap_err().contains("did you mean"), "{text}");
        }
    }
}
