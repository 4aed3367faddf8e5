//! Checks a marked tree against the table of fields, and reports everything that does not fit. What fields mean
//! together is `validate`'s business.

mod capability;
mod form;
mod reference;
mod word;

use std::{ops::Range, sync::Arc};

use greenroom_actors::spec::{FunctionId, NetworkPattern};

pub(super) use form::words;
pub(super) use reference::local;
pub(crate) use word::duration_parts;
pub(super) use word::{duration, mode, sha256};

use super::{
    diagnostic::{Diagnostic, Diagnostics, Severity, closest, shown},
    document::{Node, Pair, Resolved, Value},
    kinds,
    path::FieldPath,
    raw::Index,
    shape::{Field, Shape},
    source::SourceFile,
};

/// What is checked, and where faults go.
pub(super) struct Scope<'a> {
    pub(super) file: &'a Arc<SourceFile>,
    pub(super) id: Option<&'a FunctionId>,
    /// The entries that references may lead to. `None` leaves references alone.
    pub(super) index: Option<&'a Index>,
    pub(super) out: &'a mut Diagnostics,
    /// Whether an error was reported.
    pub(super) failed: bool,
}

impl<'a> Scope<'a> {
    /// A scope for what is in no entry.
    pub(super) fn of_file(file: &'a Arc<SourceFile>, out: &'a mut Diagnostics) -> Self {
        Self { file, id: None, index: None, out, failed: false }
    }

    pub(super) fn error(
        &mut self,
        span: Range<usize>,
        path: FieldPath<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.failed = true;
        self.report(Severity::Error, span, path, message.into())
    }

    pub(super) fn warning(
        &mut self,
        span: Range<usize>,
        path: FieldPath<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Warning, span, path, message.into())
    }

    fn report(
        &mut self,
        severity: Severity,
        span: Range<usize>,
        path: FieldPath<'_>,
        message: String,
    ) -> &mut Diagnostic {
        self.out.push(Diagnostic::new(severity, message).at(self.file, span, "").of(self.id, path.to_string()))
    }

    /// The nearest candidate, unless nobody would read it.
    fn near<'c>(&self, text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        if self.out.is_full(self.file.shown()) { None } else { closest(text, candidates) }
    }

    fn wrong_type(&mut self, pair: &Pair, path: FieldPath<'_>, wanted: &str) -> &mut Diagnostic {
        let span = place(pair);
        let message = format!("`{path}` is {}; it must be {wanted}", pair.value.described());
        self.error(span, path, message).label(format!("expected {wanted}"))
    }
}

/// Where a value's fault is shown: at the value, or at its key when it is a list, a mapping or nothing.
pub(super) fn place(pair: &Pair) -> Range<usize> {
    match pair.value.value {
        Value::Scalar(_) if !pair.value.span.is_empty() => pair.value.span.clone(),
        _ => pair.key_span.clone(),
    }
}

/// Checks the fields of a mapping. `also` are fields that the mapping may have besides.
pub(super) fn object(
    scope: &mut Scope<'_>,
    node: &Node,
    fields: &'static [Field],
    path: FieldPath<'_>,
    also: Option<&'static [Field]>,
) {
    // A kind may say more of a field that every entry has.
    let is_own = |name: &str| fields.iter().any(|field| field.name == name);
    let all = || also.into_iter().flatten().filter(|field| !is_own(field.name)).chain(fields);
    for pair in node.pairs() {
        let path = FieldPath::Field(&path, &pair.key);
        match all().find(|field| field.name == pair.key) {
            Some(field) => value(scope, pair, &field.shape, path),
            None => unknown_field(scope, pair, all().map(|field| field.name), path),
        }
    }
}

/// Reports the keys of a mapping that were given more than once.
pub(super) fn repeats(scope: &mut Scope<'_>, node: &Node, path: FieldPath<'_>) {
    for repeat in &node.repeats {
        let path = FieldPath::Field(&path, &repeat.key);
        let file = scope.file;
        scope
            .error(repeat.again.clone(), path, format!("duplicate key `{}`", shown(&repeat.key)))
            .label("given again here")
            .and_at(file, repeat.first.clone(), "first given here")
            .help("keep one of the two");
    }
}

/// Reports the same for a mapping or list and all that is in it.
pub(super) fn repeats_within(scope: &mut Scope<'_>, node: &Node, path: FieldPath<'_>) {
    repeats(scope, node, path);
    for pair in node.pairs() {
        repeats_within(scope, &pair.value, FieldPath::Field(&path, &pair.key));
    }
    for (number, item) in node.items().iter().enumerate() {
        repeats_within(scope, item, FieldPath::Item(&path, number));
    }
}

/// Reports the fields that a mapping must have and has not. `span` is shown for what is not there.
pub(super) fn required(
    scope: &mut Scope<'_>,
    node: &Node,
    fields: &'static [Field],
    span: &Range<usize>,
    path: FieldPath<'_>,
    what: &str,
) {
    for field in fields.iter().filter(|field| field.required && node.get(field.name).is_none()) {
        let path = FieldPath::Field(&path, field.name);
        scope
            .error(span.clone(), path, format!("missing field `{path}`"))
            .label(format!("{what} needs `{}`", field.name))
            .help(format!("`{}`: {}", field.name, field.about));
    }
}

fn unknown_field(
    scope: &mut Scope<'_>,
    pair: &Pair,
    allowed: impl Iterator<Item = &'static str> + Clone,
    path: FieldPath<'_>,
) {
    let near = scope.near(&pair.key, allowed.clone());
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let error = scope.error(pair.key_span.clone(), path, format!("unknown field `{}`", shown(&pair.key)));
    match near {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None if pair.key == "<<" => error.label("merge keys are not part of YAML 1.2"),
        None => error.label("no such field"),
    };
    error.help(format!("the fields here are {allowed}"));
}

/// Checks one value.
pub(super) fn value(scope: &mut Scope<'_>, pair: &Pair, shape: &'static Shape, path: FieldPath<'_>) {
    let node = &pair.value;
    let scalar = node.scalar();
    if scalar.is_some_and(|scalar| scalar.broken) {
        return;
    }
    if node.is_null() && !matches!(shape, Shape::Anything | Shape::Notes(_)) {
        if matches!((shape, path), (Shape::List(Shape::Anything), FieldPath::Field(FieldPath::Root, _))) {
            return;
        }
        scope
            .error(place(pair), path, format!("`{path}` is empty"))
            .label(format!("expected {}", wanted(shape)))
            .help("remove the field, or give it a value; what belongs to it is indented further than it");
        return;
    }
    let resolved = scalar.map(super::document::Scalar::resolve);
    match shape {
        Shape::Anything => {}
        Shape::Text => match (scalar, resolved) {
            (Some(scalar), Some(Resolved::Text)) => {
                if scalar.text.trim().is_empty() {
                    scope.error(place(pair), path, format!("`{path}` is empty")).label("expected a text");
                }
            }
            (Some(scalar), Some(_)) => {
                let quoted = format!("quote it: \"{}\"", scalar.shown());
                scope.wrong_type(pair, path, "a string").help(quoted);
            }
            _ => {
                scope.wrong_type(pair, path, "a string");
            }
        },
        Shape::Scalar => {
            if scalar.is_none() {
                scope.wrong_type(pair, path, "a string, number or boolean");
            }
        }
        Shape::Flag => {
            if !matches!(resolved, Some(Resolved::Flag(_))) {
                scope.wrong_type(pair, path, "`true` or `false`");
            }
        }
        Shape::Count { min, max } => match resolved {
            Some(Resolved::Integer(number)) => {
                if number < i128::from(*min) || number > i128::from(*max) {
                    let message = format!("`{path}` is {number}; it must be between {min} and {max}");
                    scope.error(place(pair), path, message).label("out of bounds");
                }
            }
            _ => {
                let quoted = scalar.filter(|scalar| scalar.written.is_none() && scalar.text.parse::<u64>().is_ok());
                let error = scope.wrong_type(pair, path, "a whole number");
                if quoted.is_some() {
                    error.help("write it without quotes");
                } else if scalar.is_some_and(|scalar| scalar.written.is_some()) {
                    error.help("placeholders stand in strings only");
                }
            }
        },
        Shape::List(item) => match &node.value {
            Value::List(items) => list(scope, items, item, path),
            _ => {
                scope.wrong_type(pair, path, "a list");
            }
        },
        Shape::Table(shape) => match &node.value {
            Value::Map(pairs) => {
                for pair in pairs {
                    value(scope, pair, shape, FieldPath::Field(&path, &pair.key));
                }
            }
            _ => {
                scope.wrong_type(pair, path, "a mapping");
            }
        },
        Shape::Object(fields) => mapping(scope, pair, fields, path),
        Shape::Notes(fields) => {
            for pair in node.pairs() {
                if let Some(field) = fields.iter().find(|field| field.name == pair.key) {
                    value(scope, pair, &field.shape, FieldPath::Field(&path, &pair.key));
                }
            }
        }
        Shape::Form(form) => form::one(scope, pair, form, path),
        Shape::Forms(form) => form::several(scope, pair, form, path),
        Shape::Pool => mapping(scope, pair, kinds::POOL_FIELDS, path),
        Shape::Duration
        | Shape::Mode
        | Shape::Choice(_)
        | Shape::Hash
        | Shape::Reference(_)
        | Shape::Capability
        | Shape::Destination => word(scope, pair, shape, path),
    }
}

fn mapping(scope: &mut Scope<'_>, pair: &Pair, fields: &'static [Field], path: FieldPath<'_>) {
    if !matches!(pair.value.value, Value::Map(_)) {
        scope.wrong_type(pair, path, "a mapping");
        return;
    }
    object(scope, &pair.value, fields, path, None);
    required(scope, &pair.value, fields, &pair.key_span, path, "this");
}

fn list(scope: &mut Scope<'_>, items: &[Arc<Node>], shape: &'static Shape, path: FieldPath<'_>) {
    if matches!(shape, Shape::Anything) {
        return;
    }
    for (number, item) in items.iter().enumerate() {
        // An item has no key; its own place stands in for one.
        let pair = Pair { key: String::new(), key_span: item.span.clone(), value: Arc::clone(item) };
        value(scope, &pair, shape, FieldPath::Item(&path, number));
    }
}

/// Checks a value that is one word of some form.
fn word(scope: &mut Scope<'_>, pair: &Pair, shape: &'static Shape, path: FieldPath<'_>) {
    let Some(scalar) = pair.value.scalar() else {
        scope.wrong_type(pair, path, &wanted(shape));
        return;
    };
    let shown = scalar.shown();
    match shape {
        Shape::Choice(names) if names.contains(&scalar.text.as_str()) => {}
        Shape::Choice(names) => {
            let near = scope.near(&shown, names.iter().copied());
            let error = scope.error(place(pair), path, format!("`{path}` cannot be `{shown}`"));
            match near {
                Some(near) => error.label(format!("did you mean `{near}`?")),
                None => error.label(format!("expected {}", wanted(shape))),
            };
            error.help(format!("it must be {}", wanted(shape)));
        }
        Shape::Duration => {
            if let Err(fault) = duration(&pair.value) {
                scope
                    .error(place(pair), path, format!("`{path}` is not a duration"))
                    .label(fault)
                    .help("write `500ms`, `30s`, `5m`, `1h30m`, or a number of milliseconds");
            }
        }
        Shape::Mode => {
            if let Err(fault) = mode(&pair.value) {
                scope
                    .error(place(pair), path, format!("`{path}` is not a file mode"))
                    .label(fault)
                    .help("write the permissions as an octal string, such as \"0755\"");
            }
        }
        Shape::Hash => {
            if let Err(fault) = sha256(&scalar.text) {
                // What is wrong with a value that came out of a placeholder would tell a part of it.
                let message = match scalar.written {
                    Some(_) => format!("`{shown}` does not come to a hash"),
                    None => fault.message(),
                };
                scope
                    .error(place(pair), path, message)
                    .label("expected `sha256:` and 64 hexadecimal digits")
                    .help("`greenroom inspect FILE` prints the hash of a file");
            }
        }
        Shape::Destination => {
            if let Err(fault) = scalar.text.parse::<NetworkPattern>() {
                let message = match scalar.written {
                    // The fault of a value that came out of a placeholder would tell it.
                    Some(_) => format!("`{shown}` does not come to a `host:port` pattern"),
                    None if shown == scalar.text => fault.to_string(),
                    None => format!("`{shown}` is no `host:port` pattern"),
                };
                scope.error(place(pair), path, message).label("expected `host:port`");
            }
        }
        Shape::Capability => capability::check(scope, pair, path),
        Shape::Reference(kinds) => reference::check(scope, pair, kinds, path),
        _ => {}
    }
}

/// Words as a list of alternatives: `a, b or c`.
pub(super) fn alternatives(words: &[&str], before: &str) -> String {
    match words {
        [] => String::new(),
        [only] => format!("{before}{only}"),
        [rest @ .., last] => format!("{before}{} or {last}", rest.join(", ")),
    }
}

/// What a shape wants, in words.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a string".to_owned(),
        Shape::Scalar => "a string, number or boolean".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Count { .. } => "a whole number".to_owned(),
        Shape::Duration => "a duration".to_owned(),
        Shape::Mode => "an octal string".to_owned(),
        Shape::Choice(names) => alternatives(names, ""),
        Shape::Hash => "`sha256:` and 64 hexadecimal digits".to_owned(),
        Shape::Reference(kinds) => alternatives(kinds, "the id of an entry of kind "),
        Shape::Capability => "the name of a capability".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Table(_) | Shape::Object(_) | Shape::Notes(_) | Shape::Pool => "a mapping".to_owned(),
        Shape::Form(form) => form.wanted.to_owned(),
        Shape::Forms(_) => "a list, or a string with commas".to_owned(),
        Shape::Destination => "a `host:port` pattern".to_owned(),
        Shape::Anything => "a value".to_owned(),
    }
}
