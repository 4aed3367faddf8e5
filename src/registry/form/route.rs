//! Paths of requests: prefixes, mounts, and those of endpoints with `{name}` and `{rest...}`. Requests carry paths in
//! percent-encoding, so that is what these are turned to. Which paths clash is `validate`'s business.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::form;
use crate::registry::shape::Form;

/// What stands in a path only as `%XX`: all that is no `pchar` of RFC 3986, but `/`, and `%` itself.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'|');

pub(in super::super) const PATH: Form =
    form("a path, with `{name}` for one segment and `{rest...}` for all that follow", "/[^?#\\s]*", |text| {
        path(text).map(drop)
    });

pub(in super::super) const PREFIX: Form = form("a path, such as `/api`", "/[^?#{}\\s]*", |text| prefix(text).map(drop));

pub(in super::super) const MOUNT: Form =
    form("a path, such as `/assets`", "/[^?#{}\\s]*", |text| mount(text).map(drop));

/// The path of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Route {
    /// As requests have it, with the parameters as they are written.
    pub(in super::super) path: String,
    /// The same in the manner of `matchit`, parameters called by their number: those that fit the same requests are equal.
    pub(in super::super) pattern: String,
}

/// Reads the path of an endpoint.
pub(in super::super) fn path(text: &str) -> Result<Route, String> {
    let mut route = Route { path: String::new(), pattern: String::new() };
    let mut names: Vec<&str> = Vec::new();
    let segments: Vec<_> = segments(text)?;
    for (number, segment) in segments.iter().enumerate() {
        route.path.push('/');
        route.pattern.push('/');
        let Some((before, rest)) = segment.split_once('{') else {
            if segment.contains('}') {
                return Err("a `}` closes nothing".to_owned());
            }
            let literal = encoded(segment);
            route.path.push_str(&literal);
            route.pattern.push_str(&literal);
            continue;
        };
        let Some((name, after)) = rest.split_once('}') else { return Err("a `{` is not closed".to_owned()) };
        if before.contains('}') || after.contains('}') && !after.contains('{') {
            return Err("a `}` closes nothing".to_owned());
        }
        if after.contains('{') {
            return Err("a segment has one parameter at most".to_owned());
        }
        let (name, is_rest) = match name.strip_suffix("...") {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name == "$" {
            return Err("a path matches to its end as it is: leave `{$}` out".to_owned());
        }
        if let Some(name) = name.strip_prefix('*') {
            return Err(format!("all that follows is written `{{{name}...}}`"));
        }
        if name.is_empty() {
            return Err("a parameter has no name".to_owned());
        }
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            return Err("the name of a parameter is of letters, digits, `_` and `-`".to_owned());
        }
        if names.contains(&name) {
            return Err(format!("two parameters are called `{name}`"));
        }
        if is_rest && (!before.is_empty() || !after.is_empty()) {
            return Err("`...` takes whole segments: nothing stands beside it".to_owned());
        }
        if is_rest && number + 1 != segments.len() {
            return Err("`...` takes all that follows: it comes last".to_owned());
        }
        let (before, after) = (encoded(before), encoded(after));
        let dots = if is_rest { "..." } else { "" };
        let star = if is_rest { "*" } else { "" };
        route.path.push_str(&format!("{before}{{{name}{dots}}}{after}"));
        route.pattern.push_str(&format!("{before}{{{star}p{}}}{after}", names.len()));
        names.push(name);
    }
    Ok(route)
}

/// Reads what the paths of a router begin with. Empty for `/`.
pub(in super::super) fn prefix(text: &str) -> Result<String, String> {
    if text.contains(['{', '}']) {
        return Err("parameters stand in the paths of endpoints only".to_owned());
    }
    if text.contains("//") {
        return Err("two slashes in a row".to_owned());
    }
    let segments = segments(text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text))?;
    if segments == [""] {
        return Ok(String::new());
    }
    Ok(segments.iter().map(|segment| format!("/{}", encoded(segment))).collect())
}

/// Reads where static files are: `/`, or a path without a `/` at its end.
pub(in super::super) fn mount(text: &str) -> Result<String, String> {
    prefix(text).map(|prefix| if prefix.is_empty() { "/".to_owned() } else { prefix })
}

/// The parts between slashes.
fn segments(text: &str) -> Result<Vec<&str>, String> {
    let Some(rest) = text.strip_prefix('/') else { return Err("a path begins with `/`".to_owned()) };
    if text.contains(['?', '#']) {
        return Err("a path ends before `?` and `#`".to_owned());
    }
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err("no spaces and no control characters".to_owned());
    }
    let after_percent = text.split('%').skip(1);
    for after in after_percent {
        if !after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err("after `%` come two hexadecimal digits".to_owned());
        }
    }
    let segments: Vec<_> = rest.split('/').collect();
    let (last, before) = segments.split_last().unwrap_or((&"", &[]));
    if before.contains(&"") {
        return Err("two slashes in a row".to_owned());
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) || matches!(*last, "." | "..") {
        return Err("clients resolve `.` and `..` before they ask".to_owned());
    }
    Ok(segments)
}

/// A text as it stands in the path of a request.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let route = path(text).unwrap();
        (route.path, route.pattern)
    }

    #[test]
    fn paths_have_parameters() {
        let same = |text: &str, pattern: &str| assert_eq!(read(text), (text.to_owned(), pattern.to_owned()));
        same("/", "/");
        same("/a/b", "/a/b");
        same("/a/", "/a/");
        same("/users/{id}/posts/{post-id}", "/users/{p0}/posts/{p1}");
        same("/files/{name}.json", "/files/{p0}.json");
        same("/files/{rest...}", "/files/{*p0}");
        same("/a%2Fb", "/a%2Fb");
        assert_eq!(read("/café/{id}").0, "/caf%C3%A9/{id}");
    }

    #[test]
    fn every_fault_of_a_path_is_told() {
        for (text, fault) in [
            ("users", "begins with"),
            ("", "begins with"),
            ("/a?b", "`?`"),
            ("/a b", "spaces"),
            ("/a//b", "two slashes"),
            ("/a/../b", "`..`"),
            ("/a/.", "`..`"),
            ("/a%2", "hexadecimal"),
            ("/{a", "not closed"),
            ("/a}", "closes nothing"),
            ("/}{a}", "closes nothing"),
            ("/{a}}", "closes nothing"),
            ("/{a}{b}", "one parameter"),
            ("/{}", "no name"),
            ("/{...}", "no name"),
            ("/{a b}", "spaces"),
            ("/{a.b}", "letters"),
            ("/{1}", "letters"),
            ("/{a}/{a}", "two parameters"),
            ("/{$}", "leave"),
            ("/{*rest}", "`{rest...}`"),
            ("/{rest...}/x", "comes last"),
            ("/{rest...}/", "comes last"),
            ("/x{rest...}", "whole segments"),
        ] {
            let found = path(text).unwrap_err();
            assert!(found.contains(fault), "{text}: {found}");
        }
    }

    #[test]
    fn prefixes_end_without_a_slash() {
        for (text, read) in [("/", ""), ("/api", "/api"), ("/api/", "/api"), ("/a/b/", "/a/b"), ("/é", "/%C3%A9")] {
            assert_eq!(prefix(text).as_deref(), Ok(read));
        }
        assert_eq!((mount("/").as_deref(), mount("/x/").as_deref()), (Ok("/"), Ok("/x")));
        for text in ["", "api", "//", "/a//", "/{a}", "/a?b"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
