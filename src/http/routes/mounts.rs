//! Where static files are: the longest path that a request is at or below takes it.

use http::{Response, request};

use crate::{
    http::{Body, problem::Problem, static_files::StaticFiles},
    registry::http::StaticSpec,
};

/// The static files of one server.
pub(super) struct Mounts(Vec<Mount>);

/// Those of one entry.
pub(in super::super) struct Mount {
    /// Without a `/` at its end.
    path: String,
    files: StaticFiles,
}

impl Mounts {
    pub(super) fn new(specs: &[StaticSpec]) -> Self {
        let mount = |spec: &StaticSpec| Mount {
            path: spec.path.trim_end_matches('/').to_owned(),
            files: StaticFiles::new(spec),
        };
        let mut mounts: Vec<_> = specs.iter().map(mount).collect();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        Self(mounts)
    }

    /// The place of what a path is at or below.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        self.0.iter().position(|mount| mount.below(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    pub(super) fn get(&self, index: usize) -> &Mount {
        &self.0[index]
    }

    /// Each as routes are called in labels.
    pub(super) fn labels(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|mount| format!("{}/{{path...}}", mount.path))
    }
}

impl Mount {
    /// Answers a request that is at or below its path.
    pub(in super::super) async fn answer(&self, request: &request::Parts) -> Result<Response<Body>, Problem> {
        let below = self.below(request.uri.path()).unwrap_or_default();
        self.files.answer(request, below).await
    }

    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path.as_str())
    }
}
