//! Which endpoints of one server would answer the same requests, or hide all of its files.

use std::collections::HashMap;

use http::Method;

/// The endpoints of one server.
#[derive(Default)]
pub(super) struct Routes {
    /// Each path with itself.
    paths: matchit::Router<String>,
    /// The first endpoint of each path.
    first: HashMap<String, usize>,
    taken: HashMap<(String, Option<Method>), usize>,
}

/// Why an endpoint cannot stand beside the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// Another has the same method and path.
    Same(usize),
    /// The path has a parameter where another's has one that takes more, or less.
    Overlap(Option<usize>),
}

impl Routes {
    /// Adds an endpoint. Its pattern calls parameters by their number.
    pub(super) fn add(&mut self, endpoint: usize, method: Option<Method>, pattern: &str) -> Result<(), Clash> {
        let key = (pattern.to_owned(), method);
        if let Some(other) = self.taken.get(&key) {
            return Err(Clash::Same(*other));
        }
        if !self.first.contains_key(pattern) {
            self.paths.insert(pattern, pattern.to_owned()).map_err(|error| match error {
                matchit::InsertError::Conflict { with } => Clash::Overlap(self.first.get(&with).copied()),
                _ => Clash::Overlap(None),
            })?;
            self.first.insert(pattern.to_owned(), endpoint);
        }
        self.taken.insert(key, endpoint);
        Ok(())
    }

    /// The endpoint that answers a GET of every path below this one, if there is one.
    pub(super) fn covering(&self, mount: &str) -> Option<usize> {
        // One segment that no path names.
        let below = format!("{}/\0", mount.trim_end_matches('/'));
        let pattern = self.paths.at(&below).ok()?.value;
        let takes_all = pattern.rsplit('/').next().is_some_and(|last| last.starts_with("{*"));
        let with = |method| self.taken.get(&(pattern.clone(), method)).copied();
        if takes_all { with(Some(Method::GET)).or_else(|| with(None)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_share_paths_and_paths_do_not_overlap() {
        let mut routes = Routes::default();
        assert_eq!(routes.add(0, Some(Method::GET), "/a/{p0}"), Ok(()));
        assert_eq!(routes.add(1, Some(Method::PUT), "/a/{p0}"), Ok(()));
        assert_eq!(routes.add(2, None, "/a/{p0}"), Ok(()));
        assert_eq!(routes.add(3, Some(Method::GET), "/a/b"), Ok(()));
        assert_eq!(routes.add(4, Some(Method::PUT), "/a/{p0}"), Err(Clash::Same(1)));
        assert_eq!(routes.add(5, None, "/a/{p0}"), Err(Clash::Same(2)));
        assert_eq!(routes.add(6, Some(Method::GET), "/a/{*p0}"), Err(Clash::Overlap(Some(0))));
    }

    #[test]
    fn what_takes_every_path_covers_those_below_it() {
        let mut routes = Routes::default();
        for (number, method, pattern) in [
            (0, Some(Method::GET), "/a/{*p0}"),
            (1, Some(Method::POST), "/a/b/{*p0}"),
            (2, None, "/c/{p0}/{*p1}"),
            (3, Some(Method::GET), "/d/{p0}"),
        ] {
            assert_eq!(routes.add(number, method, pattern), Ok(()));
        }
        for (mount, covering) in [
            ("/", None),
            ("/a", Some(0)),
            ("/a/x", Some(0)),
            ("/a/b", None),
            ("/ab", None),
            ("/c", None),
            ("/c/x", Some(2)),
            ("/d", None),
        ] {
            assert_eq!(routes.covering(mount), covering, "{mount}");
        }
    }
}
