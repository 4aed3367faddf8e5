//! Which endpoints of one server would answer the same requests.

use std::collections::HashMap;

use http::Method;

/// The endpoints of one server.
#[derive(Default)]
pub(super) struct Routes {
    paths: matchit::Router<()>,
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
            self.paths.insert(pattern, ()).map_err(|error| match error {
                matchit::InsertError::Conflict { with } => Clash::Overlap(self.first.get(&with).copied()),
                _ => Clash::Overlap(None),
            })?;
            self.first.insert(pattern.to_owned(), endpoint);
        }
        self.taken.insert(key, endpoint);
        Ok(())
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
}
