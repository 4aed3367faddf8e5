//! Classes of bytes: `%a`, and sets as `[^%w_]`. A port of `match_class` and `matchbracketclass` of `lstrlib.c`, Lua
//! 5.4.9, in the C locale. Where a class ends in its pattern is the matcher's to know.

use super::matcher::ESCAPE;

/// Whether `%class` has the byte. An upper-case class is the complement; what is no letter of a class is itself.
pub(super) fn has(class: u8, byte: u8) -> bool {
    let within = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // Rust's own leaves out the vertical tab.
        b's' => matches!(byte, b'\t'..=b'\r' | b' '),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        // No longer documented, and still there.
        b'z' => byte == 0,
        _ => return class == byte,
    };
    within == class.is_ascii_lowercase()
}

/// Whether a set has the byte. The set is whole: from `[` to `]`.
pub(super) fn set_has(set: &[u8], byte: u8) -> bool {
    let inner = set.get(1..set.len().saturating_sub(1)).unwrap_or_default();
    match inner.strip_prefix(b"^") {
        Some(inner) => !any_has(inner, byte),
        None => any_has(inner, byte),
    }
}

fn any_has(mut items: &[u8], byte: u8) -> bool {
    loop {
        let (has, rest) = match items {
            [] => return false,
            [ESCAPE, class, rest @ ..] => (has(*class, byte), rest),
            [first, b'-', last, rest @ ..] => ((*first..=*last).contains(&byte), rest),
            [literal, rest @ ..] => (*literal == byte, rest),
        };
        if has {
            return true;
        }
        items = rest;
    }
}
