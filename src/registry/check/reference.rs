//! References from one entry to another: that they lead somewhere, and to an entry of a kind that fits.

use greenroom_actors::spec::FunctionId;

use super::{
    super::{document::Pair, path::FieldPath, raw::Target},
    Scope, alternatives, place,
};

/// How many ids a message lists.
const IDS_SHOWN_MAX: usize = 8;

/// Checks that a reference leads to an entry of one of these kinds.
pub(super) fn check(scope: &mut Scope<'_>, pair: &Pair, kinds: &'static [&'static str], path: FieldPath<'_>) {
    let (Some(index), Some(id)) = (scope.index, scope.id) else { return };
    let Some(scalar) = pair.value.scalar() else { return };
    let shown = scalar.shown();
    match index.follow(id.namespace(), &scalar.text) {
        Target::Broken => scope.failed = true,
        Target::Entry(target) => {
            let Some(target) = index.entries.get(target).filter(|target| !kinds.contains(&target.kind_name.as_str()))
            else {
                return;
            };
            let wanted = alternatives(kinds, "an entry of kind ");
            let message = format!("`{path}` cannot be `{shown}`, which is of kind {}", target.kind_name);
            let error = scope.error(place(pair), path, message);
            error.label(format!("expected {wanted}"));
            // The place would tell what came out of a placeholder.
            if scalar.written.is_none() {
                error.and_at(&target.file, target.name_span.clone(), "this entry");
            }
        }
        Target::Missing if scope.out.is_full(scope.file.shown()) => {
            scope.error(place(pair), path, format!("there is no entry `{shown}`"));
        }
        Target::Missing => {
            let ids: Vec<_> = index.ids_of(kinds).map(|candidate| local(candidate, id.namespace())).collect();
            let near = scope.near(&shown, ids.iter().copied());
            let other = ids.iter().copied().find(|candidate| {
                candidate
                    .split_once(':')
                    .is_some_and(|(_, name)| name == scalar.text.rsplit(':').next().unwrap_or_default())
            });
            let help = match ids.len() {
                0 => format!("there is no entry of kind {}", alternatives(kinds, "")),
                1 => format!("the only id that fits is {}", ids.join(", ")),
                2..=IDS_SHOWN_MAX => format!("the ids that fit are {}", ids.join(", ")),
                count => format!(
                    "the ids that fit are {} and {} more",
                    ids[..IDS_SHOWN_MAX].join(", "),
                    count - IDS_SHOWN_MAX
                ),
            };
            let error = scope.error(place(pair), path, format!("there is no entry `{shown}`"));
            match other.or(near) {
                Some(near) => error.label(format!("did you mean `{near}`?")),
                None => error.label("no such entry"),
            };
            error.help(help);
        }
    }
}

/// An id as an entry of this namespace would write it.
pub(in super::super) fn local<'a>(id: &'a FunctionId, namespace: &str) -> &'a str {
    if id.namespace() == namespace { id.name() } else { id.as_str() }
}
