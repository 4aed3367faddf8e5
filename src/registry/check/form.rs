//! Texts with a form of their own, one or several. What the forms are is told by `super::super::form`.

use super::{
    super::{
        document::{Pair, Resolved, Scalar, Value},
        path::FieldPath,
        shape::Form,
    },
    Scope, place,
};

/// Checks a text, or what is taken as one.
pub(super) fn one(scope: &mut Scope<'_>, pair: &Pair, form: &'static Form, path: FieldPath<'_>) {
    let Some(scalar) = pair.value.scalar() else {
        scope.wrong_type(pair, path, form.wanted);
        return;
    };
    if form.also.is_none() && scalar.resolve() != Resolved::Text {
        let help = match (form.check)(&scalar.text) {
            Ok(()) => format!("quote it: \"{}\"", scalar.shown()),
            Err(_) => format!("it must be {}", form.wanted),
        };
        scope.wrong_type(pair, path, "a string").help(help);
        return;
    }
    text(scope, pair, scalar, &scalar.text, form, path);
}

/// Checks a list of texts, or a string with commas between them.
pub(super) fn several(scope: &mut Scope<'_>, pair: &Pair, form: &'static Form, path: FieldPath<'_>) {
    match &pair.value.value {
        Value::Scalar(scalar) => {
            for word in words(&scalar.text) {
                text(scope, pair, scalar, word, form, path);
            }
        }
        Value::List(items) => {
            for (number, item) in items.iter().enumerate() {
                let pair = Pair { key: String::new(), key_span: item.span.clone(), value: item.clone() };
                let path = FieldPath::Item(&path, number);
                match item.scalar() {
                    Some(scalar) if scalar.broken => {}
                    Some(scalar) => text(scope, &pair, scalar, &scalar.text, form, path),
                    None => drop(scope.wrong_type(&pair, path, form.wanted)),
                }
            }
        }
        Value::Map(_) => drop(scope.wrong_type(pair, path, "a list, or a string with commas")),
    }
}

/// The words of a string with commas between them.
pub(in super::super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn text(scope: &mut Scope<'_>, pair: &Pair, scalar: &Scalar, text: &str, form: &'static Form, path: FieldPath<'_>) {
    let Err(fault) = (form.check)(text) else { return };
    // What came out of a placeholder is told by neither its text nor its fault.
    let (shown, fault) = match scalar.written {
        Some(_) => (scalar.shown(), format!("expected {}", form.wanted)),
        None => (super::super::diagnostic::shown(text), fault),
    };
    scope
        .error(place(pair), path, format!("`{path}` cannot be `{shown}`"))
        .label(fault)
        .help(format!("it must be {}", form.wanted));
}
