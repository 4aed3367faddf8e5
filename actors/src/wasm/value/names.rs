//! How names of the outside world meet WIT's kebab-case names, and what to suggest when they do not.

use super::error::{Shown, ValueError};

/// Whether a name in snake_case is the kebab-case `wit` name. WIT words may be all upper case; snake_case has none.
pub(super) fn is_snake_of(snake: &str, wit: &str) -> bool {
    snake.len() == wit.len()
        && snake.bytes().zip(wit.bytes()).all(|(s, w)| match w {
            b'-' => s == b'_' || s == b'-',
            _ => s == w || s == w.to_ascii_lowercase(),
        })
}

/// Whether a name in PascalCase is the kebab-case `wit` name: `HttpError` is `http-error`.
pub(super) fn is_pascal_of(pascal: &str, wit: &str) -> bool {
    let capitalised = wit.split('-').flat_map(|word| {
        word.bytes().enumerate().map(|(i, byte)| match i {
            0 => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        })
    });
    pascal.bytes().eq(capitalised)
}

/// Where a name from the outside world comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Data: kebab-case or snake_case.
    Text,
    /// The variant of a Rust enum: PascalCase too.
    Rust,
}

/// The position of the WIT name that `name` means. An exact match wins over snake_case, and that over PascalCase.
pub(super) fn find<'t>(names: impl Iterator<Item = &'t str> + Clone, name: &str, spelling: Spelling) -> Option<usize> {
    names
        .clone()
        .position(|wit| wit == name)
        .or_else(|| names.clone().position(|wit| is_snake_of(name, wit)))
        .or_else(|| (spelling == Spelling::Rust).then(|| names.clone().position(|wit| is_pascal_of(name, wit)))?)
}

/// How many names an error lists.
const LISTED_MAX: usize = 12;

/// The error about an unknown name: what it is (`field`), and what there is instead.
pub(super) fn unknown<'t>(what: &str, names: impl Iterator<Item = &'t str> + Clone, name: &str) -> ValueError {
    let shown = Shown(name);
    let close = names
        .clone()
        .filter(|wit| name.len() <= 2 * wit.len())
        .map(|wit| (strsim::damerau_levenshtein(&wit.to_ascii_lowercase(), &name.to_ascii_lowercase()), wit))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, wit)| *distance <= (wit.len() / 3).max(1));
    let mut listed = names.clone().take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if names.count() > LISTED_MAX {
        listed.push_str(", …");
    }
    match close {
        Some((_, wit)) => ValueError::new(format!("no {what} {shown}; did you mean `{wit}`? The {what}s are {listed}")),
        None => ValueError::new(format!("no {what} {shown}; the {what}s are {listed}")),
    }
}
