//! A `process.wasm` entry: the program, and the command that it is.

use greenroom_actors::spec::{FunctionId, ProcessSpec, Transport, WasmSpec};

use super::{
    super::{
        check::place,
        document::{Node, Resolved, Scalar, Value},
        path::FieldPath,
    },
    Reader,
};
use crate::registry::Command;

/// A process and the command that it is.
pub(in crate::registry) struct Process {
    pub(in crate::registry) spec: ProcessSpec,
    pub(in crate::registry) command: Option<Command>,
}

impl Reader<'_> {
    /// Reads all parts before it gives up, so that all faults are reported.
    pub(super) fn process(&mut self, sound_fields: bool, commands: &mut Vec<(String, FunctionId)>) -> Option<Process> {
        let limits = self.limits();
        let source = self.file();
        let wasi = self.wasi();
        let command = self.command(commands);
        let mut wasi = wasi?;
        wasi.program = command.as_ref().map(|command| command.name.clone());
        let text = |field: &str| self.node.get(field).and_then(|node| node.text()).map(str::to_owned);
        let code = WasmSpec {
            source: source?,
            sha256: Some(self.hash()?),
            wit: text("wit"),
            method: text("method").unwrap_or_else(|| ProcessSpec::METHOD.to_owned()),
            imports: self.imports(),
            wasi,
            reuse: 1,
            transport: Transport::Payload,
        };
        let spec = ProcessSpec { id: self.entry.id.clone(), code, limits };
        let valid = spec.validate();
        self.sound(sound_fields, valid)?;
        Some(Process { spec, command })
    }

    /// `meta.command`: a name, or a mapping with `name` and `short`.
    fn command(&mut self, commands: &mut Vec<(String, FunctionId)>) -> Option<Command> {
        let meta = self.node.get("meta")?;
        let pair = meta.pair("command")?;
        let meta_path = FieldPath::Field(&FieldPath::Root, "meta");
        let path = FieldPath::Field(&meta_path, "command");
        let (name, name_path, about) = match &pair.value.value {
            Value::Map(_) => {
                match pair.value.pair("name") {
                    Some(name) => (name, FieldPath::Field(&path, "name"), text(&pair.value, "short")),
                    None => {
                        let path = FieldPath::Field(&path, "name");
                        self.scope
                        .error(pair.key_span.clone(), path, "missing field `meta.command.name`")
                        .label("a command needs a name")
                        .help("write `command: NAME`, or a mapping with `name` and `short`, a few words on what it does");
                        return None;
                    }
                }
            }
            Value::List(_) => {
                self.scope
                    .error(pair.key_span.clone(), path, "`meta.command` is a list; it must be a name")
                    .label("one command")
                    .help("a process is one command: write another entry for another");
                return None;
            }
            Value::Scalar(_) => (pair, path, None),
        };
        let shown = name.value.scalar().map(Scalar::shown).unwrap_or_default();
        if !matches!(name.value.scalar().map(Scalar::resolve), Some(Resolved::Text)) {
            self.scope
                .error(
                    place(name),
                    name_path,
                    format!("the name of a command is a string, not {}", name.value.described()),
                )
                .label("expected a name")
                .help("quote it, or write one");
            return None;
        }
        let word = name.value.text().unwrap_or_default();
        if word.is_empty() || word.starts_with('-') || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.scope
                .error(place(name), name_path, format!("`{shown}` is not the name of a command"))
                .label("one word that does not begin with `-`");
            return None;
        }
        if word == Command::LIST {
            self.scope
                .error(place(name), name_path, format!("no command can be called `{word}`"))
                .label("`greenroom run ROOT list` lists the commands");
            return None;
        }
        if let Some((_, other)) = commands.iter().find(|(taken, _)| taken == word) {
            self.scope
                .error(place(name), name_path, format!("`{other}` is called `{shown}`, too"))
                .label("each command has a name of its own");
            return None;
        }
        commands.push((word.to_owned(), self.entry.id.clone()));
        Some(Command { name: word.to_owned(), about, process: self.entry.id.clone() })
    }
}

fn text(node: &Node, field: &str) -> Option<String> {
    node.get(field).and_then(|node| node.text()).map(str::to_owned)
}
