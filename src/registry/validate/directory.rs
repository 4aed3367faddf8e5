//! `fs.directory` entries: found or created, and opened.

use std::path::Path;

use cap_std::{ambient_authority, fs::Dir};

use super::{
    super::{
        check::{self, Scope, place},
        document::{Node, Scalar},
        environment::create_dir,
        path::FieldPath,
        raw::RawEntry,
        source::reason,
    },
    Directory,
};

/// Opens the directory of an entry, or reports why not.
pub(super) fn open(root: &Path, entry: &RawEntry, node: &Node, scope: &mut Scope<'_>) -> Option<Directory> {
    let pair = node.pair("directory")?;
    let shown = pair.value.scalar().map(Scalar::shown).unwrap_or_default();
    let field = FieldPath::Field(&FieldPath::Root, "directory");
    let is_module = node.get("base").and_then(|base| base.text()) == Some("module");
    let base = if is_module { root.join(entry.file.folder()) } else { root.to_owned() };
    let path = base.join(pair.value.text()?);
    let creates = node.get("auto_init").and_then(|flag| flag.flag()).unwrap_or(false);
    let mode = node.get("mode").map_or(Some(0o755), |mode| check::mode(mode).ok())?;
    if creates && let Err(error) = create_dir(&path, mode) {
        let message = format!("the directory `{shown}` cannot be created: {}", reason(&error));
        scope.error(place(pair), field, message).label(relative_to(is_module));
        return None;
    }
    match Dir::open_ambient_dir(&path, ambient_authority()) {
        // Mounts and binaries are opened later, perhaps from another working directory.
        Ok(dir) => Some(Directory { path: path.canonicalize().unwrap_or(path), dir }),
        Err(error) => {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => format!("there is no directory `{shown}`"),
                std::io::ErrorKind::NotADirectory => format!("`{shown}` is not a directory"),
                _ => format!("the directory `{shown}` cannot be opened: {}", reason(&error)),
            };
            let error = scope.error(place(pair), field, message).label(relative_to(is_module));
            if !creates {
                error.help("`auto_init: true` creates a directory that is not there");
            }
            if !is_module {
                error.help("`base: module` makes it relative to the YAML file");
            }
            None
        }
    }
}

fn relative_to(is_module: bool) -> &'static str {
    if is_module { "relative to the YAML file" } else { "relative to the registry root" }
}
