//! The query of a request, as pairs of names and values.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Names and values, decoded.
pub(crate) type Pairs<'q> = Vec<(Cow<'q, str>, Cow<'q, str>)>;

/// A query that is not UTF-8, once it is decoded.
#[derive(Debug, thiserror::Error)]
#[error("query: it is not UTF-8, once it is decoded")]
pub(crate) struct NotText;

/// Takes a query apart, in its order: `a=1&b=x+y&c`. What has no `=` has an empty value.
///
/// # Errors
/// When a name or value is not UTF-8, once it is decoded.
pub(crate) fn pairs(query: &str) -> Result<Pairs<'_>, NotText> {
    // The crate `form_urlencoded` does the same, but puts marks in place of what is not UTF-8, and says nothing.
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<Cow<'_, str>, NotText> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| NotText)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| NotText)
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
            assert!(pairs(query).is_err(), "{query}");
        }
    }
}
