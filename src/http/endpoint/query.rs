//! The query of a request, as pairs of names and values.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::invalid;
use crate::http::problem::Problem;

/// Names and values, decoded.
pub(super) type Pairs<'q> = Vec<(Cow<'q, str>, Cow<'q, str>)>;

/// Takes a query apart, in its order: `a=1&b=x+y&c`. What has no `=` has an empty value.
///
/// # Errors
/// When a name or value is not UTF-8, once it is decoded.
pub(super) fn pairs(query: &str) -> Result<Pairs<'_>, Problem> {
    // The crate `form_urlencoded` does the same, but puts marks in place of what is not UTF-8, and says nothing.
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    let not_text = || invalid("query: it is not UTF-8, once it is decoded");
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| not_text())?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| not_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_taken_apart_and_decoded() {
        let table: [(&str, &[(&str, &str)]); 7] = [
            ("", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1&a=2&b", &[("a", "1"), ("a", "2"), ("b", "")]),
            ("&&a=", &[("a", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("x+y=1%2B2+3", &[("x y", "1+2 3")]),
            ("n=%C3%A9&p=100%", &[("n", "é"), ("p", "100%")]),
        ];
        for (query, expected) in table {
            let found = pairs(query).unwrap();
            assert!(found.iter().map(|(name, value)| (&**name, &**value)).eq(expected.iter().copied()), "{query}");
        }
        for query in ["a=%FF", "%FF=a", "a=%FF+"] {
            assert_eq!(pairs(query).unwrap_err().status, 400, "{query}");
        }
    }
}
