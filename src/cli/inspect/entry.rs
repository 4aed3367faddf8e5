//! The registry entry that runs an inspected file.

use std::{fmt::Write as _, path::Path};

use greenroom_actors::spec::{Capabilities, Capability};

use super::{FileKind, Inspection};

/// The name of the entry of the folder.
const FOLDER: &str = "wasm_files";

/// The YAML of the entries, with the first function that can be called and the others as comments; `None` when there is none.
pub(super) fn write(inspection: &Inspection) -> Option<String> {
    let callable: Vec<_> = inspection.exports.iter().filter(|export| export.refused.is_none()).collect();
    let first = *callable.first()?;
    let file = inspection.file.file_name()?.to_string_lossy();
    // A process has no text of its own: a program in text form is left to be a function.
    let is_command = callable.iter().all(|export| export.command) && !inspection.text;
    let http = first.http;
    let name = match (is_command, http) {
        (true, _) => command_name(&inspection.file),
        (false, true) => entry_name(&inspection.file.file_stem().unwrap_or_default().to_string_lossy()),
        (false, false) => entry_name(&first.method),
    };
    let mut yaml = String::from("entries:\n");
    let mut line = |text: String| {
        yaml.push_str(&text);
        yaml.push('\n');
    };
    if inspection.text {
        line(format!("  - name: {}", scalar(&name)));
        line("    kind: function.wat".to_owned());
        line(format!("    source: {}", scalar(&format!("file://{file}"))));
    } else {
        line(format!("  - name: {FOLDER}"));
        line("    kind: fs.directory".to_owned());
        line("    base: module".to_owned());
        line("    directory: ./".to_owned());
        line(String::new());
        line(format!("  - name: {}", scalar(&name)));
        if is_command {
            line("    kind: process.wasm".to_owned());
            line("    meta:".to_owned());
            line(format!("      command: {}", scalar(&name)));
        } else {
            line("    kind: function.wasm".to_owned());
        }
        line(format!("    fs: {FOLDER}"));
        line(format!("    path: {}", scalar(&format!("/{file}"))));
        line(format!("    hash: sha256:{}", inspection.sha256));
    }
    if !is_command {
        line(format!("    method: {}", scalar(&first.method)));
        callable[1..].iter().for_each(|other| line(format!("    # method: {}", scalar(&other.method))));
        if inspection.kind == FileKind::Module
            && let Some(wit) = &inspection.wit
        {
            line("    wit: |".to_owned());
            wit.lines().for_each(|text| line(format!("      {text}")));
        }
    }
    if http {
        line("    transport: wasi-http".to_owned());
    }
    let groups = groups(inspection, http);
    if groups != Capabilities::NONE {
        line("    imports:".to_owned());
        groups.iter().for_each(|group| line(format!("      - {}", group.name())));
    }
    if groups.has(Capability::Sockets) || groups.has(Capability::Http) {
        line("    # It reaches nothing but what is listed:".to_owned());
        line("    # wasi:".to_owned());
        line("    #   network:".to_owned());
        line("    #     allow: [\"api.example.com:443\"]".to_owned());
    }
    for import in inspection.imports.iter().filter(|import| import.grants.is_empty() && !import.free) {
        line(format!("    # An embedder must provide {}", scalar(&import.name)));
    }
    if !is_command {
        line("    pool:".to_owned());
        line("      type: lazy".to_owned());
    }
    if http {
        line(String::new());
        line(format!("  - name: {}", scalar(&format!("{name}_endpoint"))));
        line("    kind: http.endpoint".to_owned());
        line("    method: \"*\"".to_owned());
        line("    path: \"/{rest...}\"".to_owned());
        line(format!("    func: {}", scalar(&name)));
    }
    Some(yaml)
}

/// The groups that the imports need. The transport `wasi-http` itself grants the types of `wasi:http`.
fn groups(inspection: &Inspection, http: bool) -> Capabilities {
    let granted_by_transport = |name: &str| http && name.starts_with("wasi:http/types@");
    let needed = inspection.imports.iter().filter(|import| !granted_by_transport(&import.name));
    needed.flat_map(|import| import.grants.iter().copied()).collect()
}

/// A name for a command, and its entry: the file's. `list` is what `greenroom run ROOT list` does itself.
fn command_name(file: &Path) -> String {
    let name = entry_name(&file.file_stem().unwrap_or_default().to_string_lossy().replace('#', "_"));
    if name == "list" { "list_command".to_owned() } else { name }
}

/// A name for an entry: the function's, of the characters that ids have.
fn entry_name(method: &str) -> String {
    let function = method.rsplit_once('#').map_or(method, |(_, function)| function);
    let name: String = function.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    if name.is_empty() { "function".to_owned() } else { name }
}

/// A string as YAML: plain where no reader can take it for anything else, else in double quotes.
fn scalar(text: &str) -> String {
    // What some version of YAML reads as a boolean, a null or a number.
    const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // YAML has no place for these, or takes them for the end of a line.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                // Writing to a string cannot fail.
                write!(quoted, "\\u{:04x}", u32::from(c)).unwrap_or_default();
            }
            c => quoted.push(c),
        }
    }
    // `${` would be a placeholder to the registry.
    quoted.replace("${", "$${") + "\""
}

#[cfg(test)]
mod tests {
    use super::{entry_name, scalar};

    #[test]
    fn any_string_is_the_same_string_in_yaml() {
        let odd = [
            "add",
            "add_one",
            "yes",
            "No",
            "null",
            "~",
            "",
            " ",
            "a b",
            "a: b",
            "a #b",
            "test#sleep",
            "- x",
            "1",
            "1e3",
            ".inf",
            "0x10",
            "\"quoted\"",
            "back\\slash",
            "new\nline",
            "tab\t",
            "\u{0}\u{7f}\u{85}\u{9f}\u{2028}\u{feff}",
            "é",
            "😀",
            "@x",
            "*x",
            "&x",
            "!x",
            "%x",
            "{x}",
            "[x]",
            "'x'",
            "file://a.wat",
            "/a.wasm",
            "x:",
            "a,b",
            "2024-01-01",
        ];
        for text in odd {
            let yaml = format!("key: {}\n", scalar(text));
            let read: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read["key"], serde_yaml::Value::from(text), "{yaml}");
        }
        assert_eq!(scalar("a${b}"), "\"a$${b}\"");
    }

    #[test]
    fn an_entry_is_named_after_its_function() {
        assert_eq!(entry_name("test-sleep#sleep-ms"), "sleep_ms");
        assert_eq!(entry_name("add one"), "add_one");
        assert_eq!(entry_name(""), "function");
    }
}
