//! What a field may hold, as data. The reader (`check`) and the JSON Schema (`schema`) both follow it, so that they
//! cannot drift apart.

/// One field of an entry or of a mapping inside one.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    /// What it means, in one sentence.
    pub(super) about: &'static str,
    /// What holds when it is absent, as JSON. `None` when absence is a meaning of its own.
    pub(super) default: Option<&'static str>,
}

/// What a value looks like.
pub(super) enum Shape {
    /// A string that is not empty.
    Text,
    /// A string, number or boolean, taken as the text that is written.
    Scalar,
    /// `true` or `false`.
    Flag,
    /// A whole number, in bounds.
    Count { min: u64, max: u64 },
    /// `500ms`, `30s`, `5m`, `1h30m`, or a number of milliseconds.
    Duration,
    /// Permissions of a file as an octal string: `"0644"`.
    Mode,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// `sha256:` and 64 hexadecimal digits.
    Hash,
    /// The id of an entry of one of these kinds.
    Reference(&'static [&'static str]),
    /// The name of a capability group.
    Capability,
    /// A `host:port` pattern.
    Destination,
    /// A text with a form of its own.
    Form(&'static Form),
    /// Several such texts: a list, or one string with commas between them.
    Forms(&'static Form),
    /// A list.
    List(&'static Shape),
    /// A mapping with keys of the user's choice.
    Table(&'static Shape),
    /// A mapping with these fields.
    Object(&'static [Field]),
    /// A mapping with these fields, and anything else.
    Notes(&'static [Field]),
    /// A pool: the fields that it may have depend on its `type`.
    Pool,
    /// Whatever YAML can say.
    Anything,
}

/// What a text must look like.
pub(super) struct Form {
    /// What it is, in words that follow "expected".
    pub(super) wanted: &'static str,
    /// What the JSON Schema asks of strings.
    pub(super) pattern: &'static str,
    /// The JSON Schema of the values besides strings that are taken as they are written. `None`: only strings are.
    pub(super) also: Option<&'static str>,
    /// What is wrong with a text, in a few words.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// One kind of entry.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What it is, in one sentence.
    pub(super) about: &'static str,
    /// Its own fields, besides those that every entry has.
    pub(super) fields: &'static [Field],
    /// Whether other fields are accepted.
    pub(super) open: bool,
    pub(super) role: Role,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Function,
    /// Code that functions share.
    Library,
    Process,
    Directory,
    Storage,
    Variable,
    /// A part of what is served by HTTP.
    Http,
    /// It does nothing by design.
    Inert,
}

impl Field {
    pub(super) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, required: false, about, default: None }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn default(self, json: &'static str) -> Self {
        Self { default: Some(json), ..self }
    }
}
