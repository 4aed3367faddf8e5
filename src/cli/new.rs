//! `greenroom new`: a small registry that runs. What is in it stands in `new/`, as it is written.

use std::{
    fmt, fs,
    io::{ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use serde::Serialize;

use super::{failure::Failure, options::Format, output};

/// The files of the registry.
const FILES: [(&str, &str); 2] =
    [("_index.yaml", include_str!("new/_index.yaml")), ("greet.wat", include_str!("new/greet.wat"))];

/// What was written, and what to do with it.
#[derive(Serialize)]
struct Made {
    directory: String,
    files: Vec<&'static str>,
    next: Vec<String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "wrote {} in {}\n\nnext:", self.files.join(" and "), output::harmless(&self.directory))?;
        self.next.iter().try_for_each(|command| writeln!(f, "  {}", output::harmless(command)))
    }
}

/// Writes the registry into a folder that is empty, or not there yet.
pub(super) fn new(dir: &Path, format: Format) -> Result<ExitCode, Failure> {
    write(dir)?;
    let shown = dir.display().to_string();
    let root = quoted(&shown);
    let next = ["check", "call", "run"].map(|command| match command {
        "call" => format!("greenroom call {root} app:greet world"),
        other => format!("greenroom {other} {root}"),
    });
    let files = FILES.iter().map(|(name, _)| *name).collect();
    output::print(format, &Made { directory: shown, files, next: next.into() })
}

fn write(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{shown} is not empty; name a folder that is empty, or one that is not there yet");
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(dir).with_context(|| format!("{shown} cannot be made"))?;
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => bail!("{shown} is a file; name a folder"),
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    }
    for (name, text) in FILES {
        let path = dir.join(name);
        // Somebody else may have written the same file since we looked.
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    let is_plain = !path.is_empty() && path.chars().all(plain) && !path.starts_with('-');
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    if is_plain { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("a/b-c.d"), "a/b-c.d");
        assert_eq!(quoted("my app"), "'my app'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("-x"), "'./-x'");
    }
}
