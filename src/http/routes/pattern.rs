//! The pattern of a path, as registries write it, as matchit does.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What clients encode in a path. What is encoded already stays as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'^').add(b'`');

/// A path with parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// For matchit. Parameters are numbered: whatever their names are, equal paths are equal.
    pub(super) matched: String,
    /// The same where nothing is left for `{rest...}`, which matchit does not match.
    pub(super) without_rest: Option<String>,
    /// The names of the parameters, in their order.
    pub(super) names: Vec<String>,
}

impl Pattern {
    pub(super) fn read(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err(format!("`{path}` does not begin with `/`"));
        }
        let mut matched = String::with_capacity(path.len());
        let mut without_rest = None;
        let mut names: Vec<String> = Vec::new();
        let mut left = path;
        while let Some((literal, after)) = left.split_once('{') {
            if literal.contains('}') {
                return Err(format!("`{path}` has a `}}` without its `{{`"));
            }
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("`{path}` has a `{{` without its `}}`"));
            };
            matched.extend(utf8_percent_encode(literal, ENCODED));
            let (name, is_rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
            if name.is_empty() || name.contains(['{', '*', '/', '.', ':']) {
                return Err(format!("`{path}` has a parameter without a good name; write `{{name}}` or `{{name...}}`"));
            }
            if names.iter().any(|other| other == name) {
                return Err(format!("`{path}` has two parameters `{name}`"));
            }
            if is_rest && !(after.is_empty() && literal.ends_with('/')) {
                return Err(format!("`{{{name}...}}` must be all of the last part of `{path}`"));
            }
            let number = names.len();
            if is_rest {
                without_rest = Some(matched.clone());
                matched.push_str(&format!("{{*{number}}}"));
            } else {
                matched.push_str(&format!("{{{number}}}"));
            }
            names.push(name.to_owned());
            left = after;
        }
        if left.contains('}') {
            return Err(format!("`{path}` has a `}}` without its `{{`"));
        }
        matched.extend(utf8_percent_encode(left, ENCODED));
        Ok(Self { matched, without_rest, names })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_and_their_names_kept() {
        let read = |path| Pattern::read(path).unwrap();
        let pattern = read("/users/{id}/files/{path...}");
        assert_eq!(pattern.matched, "/users/{0}/files/{*1}");
        assert_eq!(pattern.without_rest.as_deref(), Some("/users/{0}/files/"));
        assert_eq!(pattern.names, ["id", "path"]);
        assert_eq!(read("/a/{x}.json").matched, read("/a/{y}.json").matched);
        assert_eq!(read("/café/a b%20c").matched, "/caf%C3%A9/a%20b%20c");
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        for path in ["", "a", "/{", "/}", "/{a", "/a}", "/{}", "/{...}", "/{a}/{a}", "/{a...}/b", "/x{a...}", "/{*a}"] {
            assert!(Pattern::read(path).is_err(), "{path}");
        }
    }
}
