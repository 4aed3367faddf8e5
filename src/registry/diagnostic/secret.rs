//! Keeps private keys that stand in registry files out of what is shown of those files.

use std::borrow::Cow;

const MARK: &str = "PRIVATE KEY-----";
/// How far before an excerpt the key that it is part of may begin.
const SEARCHED_MAX: usize = 64 << 10;

/// A part of a file, with each character of a private key replaced. Offsets stay what they are.
pub(super) fn masked(text: &str, part: std::ops::Range<usize>) -> Option<Cow<'_, str>> {
    let shown = text.get(part.clone())?;
    let before = text.as_bytes().get(part.start.saturating_sub(SEARCHED_MAX)..part.start).unwrap_or_default();
    let mut inside = false;
    for at in before.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK.as_bytes()) {
        inside = begins(before.get(..at.0).unwrap_or_default());
    }
    if !inside && !shown.contains(MARK) {
        return Some(Cow::Borrowed(shown));
    }
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown;
    loop {
        let (piece, more) = match rest.find(MARK) {
            Some(at) => rest.split_at(at + MARK.len()),
            None => (rest, ""),
        };
        let starts =
            piece.ends_with(MARK) && begins(piece.get(..piece.len() - MARK.len()).unwrap_or_default().as_bytes());
        match inside {
            true => out.extend(piece.chars().map(|character| match character {
                _ if character.is_ascii_alphanumeric() || "+/=".contains(character) => '*',
                _ => character,
            })),
            false => out.push_str(piece),
        }
        inside = starts;
        if more.is_empty() {
            return Some(Cow::Owned(out));
        }
        rest = more;
    }
}

/// Whether the mark after this text begins a key, rather than ends one.
fn begins(before: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    let tail = before.get(before.len().saturating_sub(32)..).unwrap_or_default();
    let last = |word: &[u8]| tail.windows(word.len()).rposition(|window| window == word);
    last(BEGIN) > last(END)
}

/// A text of the user up to where a private key begins.
pub(super) fn cut(text: &str) -> &str {
    match text.find(MARK) {
        Some(at) => text.get(..at + MARK.len()).unwrap_or_default(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked_and_all_else_stands() {
        let text = "key: |\n  -----BEGIN PRIVATE KEY-----\n  c2Vj+cmV0\n  -----END PRIVATE KEY-----\nnext: é\n";
        let all = masked(text, 0..text.len()).unwrap();
        assert_eq!(all.len(), text.len());
        assert!(!all.contains("c2Vj") && all.contains("BEGIN PRIVATE KEY") && all.ends_with("next: é\n"), "{all}");
        let middle = text.find("c2Vj").unwrap();
        assert_eq!(masked(text, middle..middle + 9).unwrap(), "*********");
        let end = text.find("next").unwrap();
        assert_eq!(masked(text, end..text.len()).unwrap(), "next: é\n");
        let line = r#"key: "-----BEGIN EC PRIVATE KEY-----\nc2Vj", b: 1"#;
        assert!(!masked(line, 0..line.len()).unwrap().contains("c2Vj"));
        assert_eq!(cut(line), r#"key: "-----BEGIN EC PRIVATE KEY-----"#);
    }
}
