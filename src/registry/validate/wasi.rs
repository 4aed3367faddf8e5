//! The `wasi` block of a function: arguments, working directory, environment and mounts.

use std::{collections::HashSet, ops::Range};

use greenroom_actors::spec::{EnvBinding, Mount, WasiSpec};

use super::{
    super::{
        check::place,
        document::{Node, Scalar, Value},
        path::FieldPath,
        raw::Target,
    },
    Reader,
};

impl Reader<'_> {
    pub(super) fn wasi(&mut self) -> Option<WasiSpec> {
        let Some(node) = self.node.get("wasi") else {
            let network = self.network()?;
            return Some(WasiSpec { network, ..WasiSpec::default() });
        };
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let path = FieldPath::Field(&FieldPath::Root, "wasi");
        let args = self.args(node, path);
        let cwd = match node.pair("cwd") {
            Some(pair) => {
                let field = FieldPath::Field(&path, "cwd");
                self.absolute(&pair.value, place(pair), field).then(|| pair.value.text().map(str::to_owned))
            }
            None => Some(None),
        };
        let env = self.env(node, path);
        let mounts = self.mounts(node, path);
        let network = self.network();
        Some(WasiSpec { program: None, args: args?, cwd: cwd?, env: env?, mounts: mounts?, network: network? })
    }

    fn args(&mut self, node: &Node, path: FieldPath<'_>) -> Option<Vec<String>> {
        let field = FieldPath::Field(&path, "args");
        let Some(list) = node.get("args") else { return Some(Vec::new()) };
        let mut args = Vec::new();
        for (number, item) in list.items().iter().enumerate() {
            let text = item.text()?;
            if text.contains('\0') {
                let path = FieldPath::Item(&field, number);
                self.scope.error(item.span.clone(), path, "an argument cannot hold a NUL character");
            }
            args.push(text.to_owned());
        }
        Some(args)
    }

    fn env(&mut self, node: &Node, path: FieldPath<'_>) -> Option<Vec<EnvBinding>> {
        let field = FieldPath::Field(&path, "env");
        let Some(list) = node.get("env") else { return Some(Vec::new()) };
        let mut bindings = Vec::new();
        let mut names = HashSet::new();
        for (number, item) in list.items().iter().enumerate() {
            let path = FieldPath::Item(&field, number);
            let binding = self.binding(item);
            let shown = item.get("name").and_then(|node| node.scalar()).map(Scalar::shown);
            let span = item.pair("name").map_or(item.span.clone(), place);
            let name = match (item.get("name"), &binding) {
                (Some(name), _) => name.text().map(str::to_owned),
                (None, Some(binding)) => Some(binding.name.clone()),
                (None, None) => None,
            };
            if let Some(name) = name {
                let shown = shown.unwrap_or_else(|| name.clone());
                let path = FieldPath::Field(&path, "name");
                if name.contains(['=', '\0']) {
                    self.scope
                        .error(span, path, format!("`{shown}` is not a name of an environment variable"))
                        .label("no `=` and no NUL");
                } else if !names.insert(name) {
                    self.scope
                        .error(span, path, format!("the guest already has a variable `{shown}`"))
                        .label("names are unique");
                }
            }
            bindings.push(binding);
        }
        bindings.into_iter().collect()
    }

    fn binding(&self, item: &Node) -> Option<EnvBinding> {
        let index = self.scope.index?;
        let Target::Entry(target) = index.follow(self.entry.id.namespace(), item.get("id")?.text()?) else {
            return None;
        };
        let id = &index.entries.get(target)?.id;
        let variable = self.environment.variable(id)?;
        let name = match item.get("name") {
            Some(name) => name.text()?,
            None => self.environment.public_name(id)?,
        };
        let required = item.get("required").and_then(|flag| flag.flag()).unwrap_or(false);
        Some(EnvBinding { name: name.to_owned(), required, variable })
    }

    fn mounts(&mut self, node: &Node, path: FieldPath<'_>) -> Option<Vec<Mount>> {
        let field = FieldPath::Field(&path, "mounts");
        let Some(list) = node.get("mounts") else { return Some(Vec::new()) };
        let mut mounts = Vec::new();
        let mut guests = HashSet::new();
        for (number, item) in list.items().iter().enumerate() {
            let path = FieldPath::Item(&field, number);
            let mut sound = true;
            if let Some(pair) = item.pair("guest") {
                let path = FieldPath::Field(&path, "guest");
                sound &= self.absolute(&pair.value, place(pair), path);
                let guest = pair.value.text().unwrap_or_default().trim_end_matches('/').to_owned();
                if sound && !guests.insert(guest) {
                    let shown = pair.value.scalar().map(Scalar::shown).unwrap_or_default();
                    self.scope
                        .error(place(pair), path, format!("two mounts are at `{shown}`"))
                        .label("each mount has a path of its own");
                    sound = false;
                }
            }
            mounts.push(if sound { self.mount(item) } else { None });
        }
        mounts.into_iter().collect()
    }

    fn mount(&self, item: &Node) -> Option<Mount> {
        let (_, directory) = self.directory(item.get("fs")?)?;
        let read_only = item.get("read_only").and_then(|flag| flag.flag()).unwrap_or(false);
        Some(Mount { host: directory.path.clone(), guest: item.get("guest")?.text()?.to_owned(), read_only })
    }

    /// Whether a path of the guest is absolute and goes only down. Values that are no text were reported before.
    fn absolute(&mut self, node: &Node, span: Range<usize>, path: FieldPath<'_>) -> bool {
        let Some(text) = node.text() else { return false };
        if WasiSpec::is_guest_path(text) {
            return true;
        }
        let shown = node.scalar().map(Scalar::shown).unwrap_or_default();
        self.scope
            .error(span, path, format!("`{shown}` is not an absolute path of the guest"))
            .label("must start with `/`, without `.`, `..` or empty parts");
        false
    }
}
