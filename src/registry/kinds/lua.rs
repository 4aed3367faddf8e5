//! The fields of `function.lua` and `library.lua`.

use super::{
    super::shape::{
        Field,
        Shape::{Choice, Count, List, Object, Reference, Table, Text},
    },
    BYTES_MAX, MAX_BODY, MAX_EXECUTION, NETWORK, POOL,
};
use crate::lua::Module;

pub(in crate::registry) const FUNCTION: &str = "function.lua";
pub(in crate::registry) const LIBRARY: &str = "library.lua";

/// The function that is called when an entry does not say.
pub(in crate::registry) const METHOD: &str = "main";

const MODULES: [&str; Module::ALL.len()] = {
    let mut names = [""; Module::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Module::ALL[at].name();
        at += 1;
    }
    names
};

const SOURCE_FIELD: Field =
    Field::new("source", Text, "Lua code, or `file://x.lua` relative to the YAML file.").required();
const MODULES_FIELD: Field =
    Field::new("modules", List(&Choice(&MODULES)), "The modules that the code may require.").default("[]");
const IMPORTS_FIELD: Field = Field::new(
    "imports",
    Table(&Reference(&[LIBRARY])),
    "The `library.lua` entries that the code may require, by the names under which it does.",
)
.default("{}");

const LIMITS: &[Field] = &[
    MAX_EXECUTION,
    Field::new(
        "max_memory_bytes",
        Count { min: 1 << 20, max: BYTES_MAX },
        "Memory of one instance, in bytes. Beyond it, the call fails.",
    )
    .default("67108864"),
    Field::new("max_result_bytes", Count { min: 1, max: BYTES_MAX }, "Size of a result as JSON, in bytes.")
        .default("67108864"),
    Field::new("max_module_bytes", Count { min: 8, max: BYTES_MAX }, "Size of the source, in bytes.")
        .default("268435456"),
    MAX_BODY,
];

pub(super) const FUNCTION_FIELDS: &[Field] = &[
    SOURCE_FIELD,
    Field::new(
        "method",
        Text,
        "The function to call: of the table that the file returns, or a global. A file with neither is itself called.",
    )
    .default("\"main\""),
    MODULES_FIELD,
    IMPORTS_FIELD,
    Field::new("network", Object(NETWORK), "What the code may reach by `http_client`."),
    POOL,
    Field::new("limits", Object(LIMITS), "The bounds of one call and one instance."),
];

pub(super) const LIBRARY_FIELDS: &[Field] = &[SOURCE_FIELD, MODULES_FIELD, IMPORTS_FIELD];
