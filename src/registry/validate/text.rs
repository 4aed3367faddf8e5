//! Texts that stand in an entry, or in a file beside it: `file://x`, relative to the YAML file and inside the registry.

use std::io::ErrorKind;

use super::{
    super::{
        check::place,
        document::{Pair, Scalar},
        path::FieldPath,
        source::{ReadError, read_to_end, reason},
    },
    Reader, is_escape,
};

/// What a text may be, and how messages speak of it.
pub(super) struct Bounds {
    pub(super) what: &'static str,
    pub(super) bytes_max: u64,
    /// The bound in words.
    pub(super) bound: String,
    pub(super) not_utf8: &'static str,
    pub(super) example: &'static str,
    /// What to do with one that is outside of the registry, where something other than a copy helps.
    pub(super) outside: Option<String>,
}

impl Reader<'_> {
    /// The text of a field, or that of the file it names.
    pub(super) fn text(&mut self, pair: &Pair, field: FieldPath<'_>, bounds: &Bounds) -> Option<String> {
        let text = pair.value.text()?;
        let Bounds { what, bytes_max, bound, not_utf8, example, outside } = bounds;
        let Some(name) = text.trim_end().strip_prefix("file://") else {
            if text.len() as u64 > *bytes_max {
                self.scope
                    .error(place(pair), field, format!("{what} is larger than the entry allows"))
                    .label(format!("{} bytes, and {bound}", text.len()));
                return None;
            }
            return Some(text.to_owned());
        };
        let shown = pair.value.scalar().map(Scalar::shown).unwrap_or_default();
        if name.is_empty() || name.starts_with('/') || name.contains('\0') {
            self.scope
                .error(place(pair), field, format!("`{shown}` names no file beside this one"))
                .label("a path relative to the YAML file")
                .help(match outside {
                    Some(outside) if name.starts_with('/') => outside.clone(),
                    _ => format!("write `{example}` for a file in the same folder"),
                });
            return None;
        }
        let path = self.entry.file.folder().join(name);
        let read = self.root.ok_or(ErrorKind::NotFound.into()).and_then(|root| {
            // A pipe is not opened: it would block for ever.
            if root.metadata(&path)?.is_file() { root.open(&path).map(Some) } else { Ok(None) }
        });
        let bytes = match read {
            Ok(Some(file)) => read_to_end(file, *bytes_max),
            Ok(None) => Err(ReadError::NotAFile),
            Err(error) => Err(ReadError::Io(error)),
        };
        let mut help = "the path after `file://` is relative to the YAML file";
        let (message, label) = match bytes {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Some(text),
                Err(_) => (format!("`{shown}` is not UTF-8"), (*not_utf8).to_owned()),
            },
            Err(ReadError::Io(error)) if is_escape(&error) => {
                help = outside.as_deref().unwrap_or(help);
                (format!("`{shown}` leads out of the registry root"), "files of a registry are inside it".into())
            }
            Err(ReadError::Io(error)) => (format!("cannot read `{shown}`: {}", reason(&error)), String::new()),
            Err(ReadError::NotAFile) => (format!("`{shown}` is no regular file"), String::new()),
            Err(ReadError::TooLarge) => (format!("`{shown}` is larger than the entry allows"), bound.clone()),
        };
        self.scope.error(place(pair), field, message).label(label).help(help);
        None
    }
}
