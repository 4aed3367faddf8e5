//! The one table of kinds and fields. What follows from an entry's fields is `validate`'s business.

pub(super) mod http;
pub(super) mod lua;

use greenroom_actors::spec::{PoolKind, PoolSpec};

use super::shape::{
    Field, Kind, Role,
    Shape::{
        Anything, Capability as CapabilityName, Choice, Count, Destination, Duration, Flag, Hash, List, Mode, Object,
        Pool, Reference, Scalar, Table, Text,
    },
};

pub(super) const FUNCTION_WAT: &str = "function.wat";
pub(super) const FUNCTION_WASM: &str = "function.wasm";
pub(super) const PROCESS_WASM: &str = "process.wasm";
pub(super) const STORAGE_MEMORY: &str = "env.storage.memory";
pub(super) const STORAGE_FILE: &str = "env.storage.file";
pub(super) const STORAGE_OS: &str = "env.storage.os";
pub(super) const STORAGE_STATIC: &str = "env.storage.static";
pub(super) const STORAGE_ROUTER: &str = "env.storage.router";

const FUNCTIONS: &[&str] = &[FUNCTION_WAT, FUNCTION_WASM, lua::FUNCTION];
const DIRECTORIES: &[&str] = &["fs.directory"];
const VARIABLES: &[&str] = &["env.variable"];
const STORAGES: &[&str] = &[STORAGE_MEMORY, STORAGE_FILE, STORAGE_OS, STORAGE_STATIC, STORAGE_ROUTER];

/// The fields of a registry file.
pub(super) const FILE: &[Field] = &[
    Field::new("version", Choice(&["1.0"]), "The version of the file's format.").default("\"1.0\""),
    Field::new("namespace", Text, "The namespace of the file's entries. Default is the name of the file's folder."),
    Field::new("entries", List(&Anything), "The entries."),
];

/// The fields that every entry has.
pub(super) const ENTRY: &[Field] = &[
    Field::new("name", Text, "The name of the entry, unique in its namespace.").required(),
    Field::new("kind", Text, "What the entry is.").required(),
    Field::new("meta", Anything, "Anything you want to note about the entry."),
];

const BYTES_MAX: u64 = 4 << 30;

const MAX_EXECUTION: Field = Field::new(
    "max_execution_ms",
    Count { min: 1, max: 7 * 24 * 3600 * 1000 },
    "How long a call may run, in milliseconds. Default is no limit.",
);
const MAX_BODY: Field =
    Field::new("max_body_bytes", Count { min: 1, max: BYTES_MAX }, "Size of an HTTP request's body, in bytes.")
        .default("8388608");

const LIMITS: &[Field] = &[
    MAX_EXECUTION,
    Field::new(
        "max_memory_bytes",
        Count { min: 64 << 10, max: BYTES_MAX },
        "Linear memory of one instance, in bytes. Beyond it `memory.grow` fails.",
    )
    .default("268435456"),
    Field::new("max_stack_bytes", Count { min: 16 << 10, max: 64 << 20 }, "Stack of WebAssembly frames, in bytes.")
        .default("524288"),
    Field::new("max_result_bytes", Count { min: 1, max: BYTES_MAX }, "Size of a result, in bytes.").default("67108864"),
    Field::new("max_module_bytes", Count { min: 8, max: BYTES_MAX }, "Size of the module or component, in bytes.")
        .default("268435456"),
    MAX_BODY,
];

const ENV_BINDING: &[Field] = &[
    Field::new("id", Reference(VARIABLES), "The `env.variable` entry that gives the value.").required(),
    Field::new("name", Text, "The variable's name inside the guest. Default is the variable's public name."),
    Field::new("required", Flag, "Whether a call fails while the variable has no value.").default("false"),
];

const MOUNT: &[Field] = &[
    Field::new("fs", Reference(DIRECTORIES), "The `fs.directory` entry that is mounted.").required(),
    Field::new("guest", Text, "The absolute path at which the guest sees it.").required(),
    Field::new("read_only", Flag, "Whether the guest is kept from changing anything below it.").default("false"),
];

const NETWORK: &[Field] = &[Field::new(
    "allow",
    List(&Destination),
    "`host:port` patterns: `api.example.com:443`, `*.example.com:443`, `10.0.0.0/8:5432`, `[::1]:8000-8100`, `*:443`.",
)
.default("[]")];

const WASI: &[Field] = &[
    Field::new("args", List(&Scalar), "Arguments after `argv[0]`, which is the entry's name.").default("[]"),
    Field::new("cwd", Text, "The guest's working directory, absolute. Default is none."),
    Field::new("env", List(&Object(ENV_BINDING)), "Environment variables of the guest, looked up for each call.")
        .default("[]"),
    Field::new("mounts", List(&Object(MOUNT)), "Directories that the guest sees.").default("[]"),
    Field::new("network", Object(NETWORK), "What the guest may reach by `wasi:sockets` and `wasi:http`."),
];

const METHOD: Field =
    Field::new("method", Text, "The export to call: `name`, `interface#name` or `ns:pkg/interface@1.0.0#name`.")
        .required();
const WIT: Field = Field::new("wit", Text, "The WIT signature of a core module; on a component it is checked.");
const POOL: Field = Field::new("pool", Pool, "How many instances run at once, and how many calls may wait.");
const TRANSPORT: Field =
    Field::new("transport", Choice(&["payload", "wasi-http"]), "How arguments and results are mapped.")
        .default("\"payload\"");
const IMPORTS: Field =
    Field::new("imports", List(&CapabilityName), "The groups of host interfaces that the guest may use.").default("[]");
const WASI_FIELD: Field = Field::new("wasi", Object(WASI), "Arguments, environment, mounts and network of the guest.");
const LIMITS_FIELD: Field = Field::new("limits", Object(LIMITS), "The bounds of one call and one instance.");

const WAT_FIELDS: &[Field] = &[
    Field::new("source", Text, "WebAssembly text, or `file://x.wat` relative to the YAML file.").required(),
    METHOD,
    WIT,
    POOL,
    TRANSPORT,
    IMPORTS,
    WASI_FIELD,
    LIMITS_FIELD,
];

const WASM_FIELDS: &[Field] = &[
    Field::new("fs", Reference(DIRECTORIES), "The `fs.directory` entry that holds the binary.").required(),
    Field::new("path", Text, "The path of the `.wasm` file inside that directory.").required(),
    Field::new("hash", Hash, "The SHA-256 of the file: `sha256:` and 64 hexadecimal digits.").required(),
    METHOD,
    WIT,
    POOL,
    TRANSPORT,
    IMPORTS,
    WASI_FIELD,
    LIMITS_FIELD,
];

const PROCESS_FIELDS: &[Field] = &[
    Field::new("fs", Reference(DIRECTORIES), "The `fs.directory` entry that holds the binary.").required(),
    Field::new("path", Text, "The path of the `.wasm` file inside that directory.").required(),
    Field::new("hash", Hash, "The SHA-256 of the file: `sha256:` and 64 hexadecimal digits.").required(),
    Field::new("method", Text, "The export to run, which takes no parameters.").default("\"run\""),
    WIT,
    IMPORTS,
    WASI_FIELD,
    LIMITS_FIELD,
];

const DIRECTORY_FIELDS: &[Field] = &[
    Field::new("directory", Text, "The directory, relative to the registry root unless it is absolute.").required(),
    Field::new("base", Choice(&["root", "module"]), "`module` makes `directory` relative to the YAML file.")
        .default("\"root\""),
    Field::new("auto_init", Flag, "Whether the directory is created when it does not exist.").default("false"),
    Field::new("mode", Mode, "The permissions of a directory that is created.").default("\"0755\""),
];

const FILE_STORAGE_FIELDS: &[Field] = &[
    Field::new("file_path", Text, "The `.env` file, relative to the registry root unless it is absolute.").required(),
    Field::new("auto_create", Flag, "Whether the file is created when it does not exist.").default("false"),
    Field::new("file_mode", Mode, "The permissions of a file that is created.").default("\"0600\""),
    Field::new("dir_mode", Mode, "The permissions of folders that are created for it.").default("\"0700\""),
];

const VARIABLE_FIELDS: &[Field] = &[
    Field::new("variable", Text, "The public name, unique, and the name in the storage. Default is the entry's name."),
    Field::new("storage", Reference(STORAGES), "The storage that holds the value.").required(),
    Field::new("default", Scalar, "The value when the storage has none. Default is none."),
    Field::new("readonly", Flag, "Whether the variable can only be read.").default("false"),
];

const fn kind(name: &'static str, role: Role, about: &'static str, fields: &'static [Field]) -> Kind {
    Kind { name, about, fields, open: matches!(role, Role::Inert), role }
}

/// Every kind of entry.
pub(super) const KINDS: &[Kind] = &[
    kind(FUNCTION_WAT, Role::Function, "A function given as WebAssembly text.", WAT_FIELDS),
    kind(FUNCTION_WASM, Role::Function, "A function given as a WebAssembly binary.", WASM_FIELDS),
    kind(lua::FUNCTION, Role::Function, "A function written in Lua.", lua::FUNCTION_FIELDS),
    kind(lua::LIBRARY, Role::Library, "Lua code that functions share.", lua::LIBRARY_FIELDS),
    kind(
        PROCESS_WASM,
        Role::Process,
        "A WebAssembly program that runs until it exits. `meta.command` makes it a command.",
        PROCESS_FIELDS,
    ),
    kind("fs.directory", Role::Directory, "A directory of the host.", DIRECTORY_FIELDS),
    kind("env.variable", Role::Variable, "A named value, kept in a storage.", VARIABLE_FIELDS),
    kind(STORAGE_MEMORY, Role::Storage, "Values kept in memory, gone when the process ends.", &[]),
    kind(STORAGE_FILE, Role::Storage, "Values kept in a `.env` file.", FILE_STORAGE_FIELDS),
    kind(STORAGE_OS, Role::Storage, "The environment of the process, read-only.", &[]),
    kind(
        STORAGE_STATIC,
        Role::Storage,
        "Values written in the entry, read-only.",
        &[Field::new("values", Table(&Scalar), "The values by name.").required()],
    ),
    kind(
        STORAGE_ROUTER,
        Role::Storage,
        "Several storages: the first that has a value gives it, the first that can be written takes it.",
        &[Field::new("storages", List(&Reference(STORAGES)), "The storages, in order.").required()],
    ),
    kind(http::SERVICE, Role::Http, "An HTTP server.", http::SERVICE_FIELDS),
    kind(http::ROUTER, Role::Http, "A group of HTTP endpoints.", http::ROUTER_FIELDS),
    kind(http::ENDPOINT, Role::Http, "An HTTP route that calls a function.", http::ENDPOINT_FIELDS),
    kind(http::STATIC, Role::Http, "Files served over HTTP.", http::STATIC_FIELDS),
    kind("process.host", Role::Inert, "Accepted, and does nothing.", &[]),
    kind("terminal.host", Role::Inert, "Accepted, and does nothing.", &[]),
    kind("registry.entry", Role::Inert, "Accepted, and does nothing.", &[]),
];

/// The kind with this name.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const NUMBER_MAX: u64 = PoolSpec::NUMBER_MAX as u64;

/// Every field of a pool.
pub(super) const POOL_FIELDS: &[Field] = &[
    Field::new(
        "type",
        Choice(&PoolKind::NAMES),
        "The kind of pool. Default is `static` if `workers` or `size` is given, else `lazy`.",
    ),
    Field::new("size", Count { min: 1, max: NUMBER_MAX }, "Instances at most. Default is `workers`, or 8."),
    Field::new("workers", Count { min: 1, max: NUMBER_MAX }, "Calls that run at once. Default is `size`."),
    Field::new("max_size", Count { min: 1, max: NUMBER_MAX }, "Instances at most.").default("100"),
    Field::new("warm_start", Flag, "Whether a worker is made at start, and kept.").default("false"),
    Field::new("idle_timeout", Duration, "How long an idle worker stays: `500ms`, `30s`, or milliseconds.")
        .default("\"30s\""),
    Field::new(
        "buffer",
        Count { min: 0, max: NUMBER_MAX * PoolSpec::BUFFER_PER_WORKER as u64 },
        "Calls that may wait. Default is 64 for each worker.",
    ),
    Field::new("on_full", Choice(&["refuse", "wait"]), "What a call meets when the buffer is full.")
        .default("\"refuse\""),
    Field::new("reuse", Count { min: 1, max: u32::MAX as u64 }, "Calls that one instance serves, in turn.")
        .default("1"),
];

/// The fields that a pool of a type has.
pub(super) fn pool_fields(kind: PoolKind) -> &'static [&'static str] {
    match kind {
        PoolKind::Inline => &["type", "buffer", "on_full"],
        PoolKind::Lazy => &["type", "max_size", "idle_timeout", "buffer", "on_full", "reuse"],
        PoolKind::Static => &["type", "size", "workers", "buffer", "on_full", "reuse"],
        PoolKind::Adaptive => &["type", "max_size", "warm_start", "idle_timeout", "buffer", "on_full", "reuse"],
    }
}

/// The types of pools, in the order of [`PoolKind::NAMES`].
pub(super) const POOL_KINDS: [PoolKind; 4] = [PoolKind::Inline, PoolKind::Lazy, PoolKind::Static, PoolKind::Adaptive];

#[cfg(test)]
mod tests {
    use greenroom_actors::spec::Limits;

    use super::*;

    #[test]
    fn the_bounds_of_limits_are_those_of_the_engine() {
        for field in LIMITS {
            let Count { min, max } = field.shape else { panic!("{} is no number", field.name) };
            for (value, fits) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
                let mut limits = Limits::default();
                match field.name {
                    "max_execution_ms" => limits.max_execution = Some(std::time::Duration::from_millis(value)),
                    "max_memory_bytes" => limits.max_memory_bytes = value,
                    "max_stack_bytes" => limits.max_stack_bytes = value,
                    "max_result_bytes" => limits.max_result_bytes = value,
                    "max_module_bytes" => limits.max_module_bytes = value,
                    _ => continue,
                }
                assert_eq!(limits.validate().is_ok(), fits, "{} = {value}", field.name);
            }
        }
    }

    #[test]
    fn the_pool_kinds_stand_in_the_order_of_their_names() {
        assert_eq!(POOL_KINDS.map(PoolKind::name), PoolKind::NAMES);
    }
}
