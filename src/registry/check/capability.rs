//! The names of capability groups, and the interfaces that are written in their place.

use greenroom_actors::spec::Capability;

use super::{
    super::{document::Pair, path::FieldPath},
    Scope, place,
};

/// Checks that there is a group of this name.
pub(super) fn check(scope: &mut Scope<'_>, pair: &Pair, path: FieldPath<'_>) {
    let text = pair.value.text().unwrap_or_default();
    let shown = pair.value.scalar().map(super::super::document::Scalar::shown).unwrap_or_default();
    match text.parse::<Capability>() {
        Ok(_) => {}
        Err(_) => {
            let near = match Capability::of_import(text) {
                Some(group) => Some(group.name()),
                None => scope.near(&shown, Capability::ALL.into_iter().map(Capability::name)),
            };
            let error = scope.error(place(pair), path, format!("unknown capability `{shown}`"));
            if let Some(near) = near {
                error.label(format!("did you mean `{near}`?"));
            }
            error.help(format!("there are {}", Capability::ALL.map(Capability::name).join(", ")));
        }
    }
}
