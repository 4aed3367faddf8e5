//! The guests that are built and not committed: where they are, and what is said when they are not there.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::cli::greenroom;

/// The languages whose guests are built.
pub const LANGUAGES: [&str; 2] = ["javascript", "python"];

/// Set to `required` where everything is built, so that nothing is skipped.
const VARIABLE: &str = "GREENROOM_GUESTS";

/// The folder with the registries of built guests.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests")
}

/// The registry around a guest. `None`, and a line that says so, when it is not built.
pub fn built(language: &str) -> Option<PathBuf> {
    let root = folder().join(language);
    if root.join("_index.yaml").exists() {
        compiled(language, &root);
        return Some(root);
    }
    let missing = format!("the guest in {language} is not built; run registry-examples/guests/build.sh {language}");
    assert_ne!(env::var(VARIABLE).as_deref(), Ok("required"), "{missing}");
    // Past what captures the output of tests that pass.
    std::io::stderr().write_all(format!("skipped: {missing}\n").as_bytes()).unwrap();
    None
}

/// Compiles a guest into the cache of all tests, once: it takes long, and tests that start together would all do it.
fn compiled(language: &str, root: &Path) {
    static DONE: [OnceLock<()>; LANGUAGES.len()] = [const { OnceLock::new() }; LANGUAGES.len()];
    let done = LANGUAGES.iter().position(|known| *known == language).unwrap();
    DONE[done].get_or_init(|| {
        let checked = greenroom(&["check", root.to_str().unwrap()]);
        assert_eq!(checked.code, 0, "{checked:?}");
    });
}
