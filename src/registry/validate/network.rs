//! `wasi.network`: what the guest may reach, beside the grants without which it reaches nothing.

use greenroom_actors::spec::{Capability, Network};

use super::{
    super::{check::place, path::FieldPath},
    Reader,
};

impl Reader<'_> {
    pub(super) fn network(&mut self) -> Option<Network> {
        let node = self.node;
        let pair = node.get("wasi").and_then(|wasi| wasi.get("network")?.pair("allow"));
        let items = pair.map(|pair| pair.value.items()).unwrap_or_default();
        let granted = self.imports();
        let reaching = [Capability::Sockets, Capability::Http].map(|group| granted.has(group).then_some(group));
        let allow = |parent| FieldPath::Field(parent, "allow");
        let (wasi, imports) =
            (FieldPath::Field(&FieldPath::Root, "wasi"), FieldPath::Field(&FieldPath::Root, "imports"));
        let network = FieldPath::Field(&wasi, "network");
        match (reaching.into_iter().flatten().next(), pair, items) {
            (None, Some(pair), [_, ..]) => {
                self.scope
                    .warning(place(pair), allow(&network), "`wasi.network.allow` does nothing here")
                    .label("the entry grants neither `wasi:sockets` nor `wasi:http`")
                    .help("add the one that the guest uses to `imports`");
            }
            (Some(group), _, []) => {
                let span = node.pair("imports").map_or(self.entry.name_span.clone(), place);
                self.scope
                    .warning(span, imports, format!("`{group}` is granted, but `wasi.network.allow` lists nothing"))
                    .label("the guest can reach nothing")
                    .help("list what it may reach: `wasi: {network: {allow: [\"api.example.com:443\"]}}`");
            }
            _ => {}
        }
        let patterns = items.iter().map(|item| item.text()?.parse().ok());
        Some(Network { allow: patterns.collect::<Option<_>>()? })
    }
}
