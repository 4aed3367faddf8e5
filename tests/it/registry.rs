//! Folders with registry files, for the tests of registries, and tests of what a load reads and gives back.

use std::{fs, path::PathBuf};

use greenroom::registry::{Diagnostics, LoadOptions, Registry, Severity};
use greenroom_actors::spec::{Code, FunctionId, FunctionSpec, WasmSpec};

/// A registry root named `myns` in a folder of its own.
pub struct Root {
    dir: tempfile::TempDir,
    pub options: LoadOptions,
}

/// A `function.wat` in two lines, to put fields below.
pub const WAT: &str = "entries:\n  - name: f\n    kind: function.wat\n    source: (module)\n    method: f\n";

impl Root {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("myns")).unwrap();
        Self { dir, options: LoadOptions::default() }
    }

    pub fn with(index: &str) -> Self {
        let root = Self::new();
        root.write("_index.yaml", index);
        root
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("myns")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self) -> (Registry, Diagnostics) {
        Registry::read(&self.path(), &self.options)
    }

    /// The registry, which must have no errors.
    pub fn sound(&self) -> Registry {
        let (registry, diagnostics) = self.read();
        assert!(!diagnostics.has_errors(), "{diagnostics}");
        registry
    }

    /// All diagnostics as a user sees them, with the root's path left out.
    pub fn rendered(&self) -> String {
        let (_, diagnostics) = self.read();
        let rendered = diagnostics.render(false).replace(&self.path().display().to_string(), "ROOT");
        rendered.replace(&self.dir.path().display().to_string(), "PARENT")
    }
}

pub fn id(text: &str) -> FunctionId {
    text.parse().unwrap()
}

/// The only function of a registry of one file.
pub fn only(index: &str) -> FunctionSpec {
    let registry = Root::with(index).sound();
    assert_eq!(registry.functions().len(), 1);
    registry.functions()[0].clone()
}

pub fn wasm(function: &FunctionSpec) -> &WasmSpec {
    match &function.code {
        Code::Wasm(wasm) => wasm,
        Code::Language(_) | Code::Custom(_) => panic!("a function of a registry is WebAssembly"),
    }
}

#[test]
fn the_document_s_inline_function_loads_as_printed() {
    let function = only(
        "entries:
  - name: answer
    kind: function.wat
    source: |
      (module
        (func (export \"answer\") (result i32)
          i32.const 42
        )
      )      
    wit: |
      answer: func() -> s32;      
    method: answer
    pool:
      type: inline
",
    );
    assert_eq!(function.id, id("myns:answer"));
    assert_eq!(wasm(&function).method, "answer");
    assert_eq!(wasm(&function).wit.as_deref().map(str::trim), Some("answer: func() -> s32;"));
}

#[test]
fn the_document_s_pipeline_loads_as_printed() {
    let root = Root::with(
        "entries:
  - name: wasm_binaries
    kind: fs.directory
    directory: ./wasm

  - name: transform_users
    kind: function.wasm
    fs: myns:wasm_binaries
    path: /mapper.wasm
    hash: sha256:7304fc7d19778605458ae5804dae9a7343dcd3f5fc22bcc9415e98b5047192dd
    method: transform-users
    pool:
      type: lazy
      max_size: 4

  - name: filter_active
    kind: function.wasm
    fs: myns:wasm_binaries
    path: /mapper.wasm
    hash: sha256:7304fc7d19778605458ae5804dae9a7343dcd3f5fc22bcc9415e98b5047192dd
    method: filter-active
    pool:
      type: lazy
      max_size: 4
",
    );
    root.write("wasm/mapper.wasm", "\0asm");
    let registry = root.sound();
    let ids: Vec<_> = registry.functions().iter().map(|function| function.id.as_str()).collect();
    assert_eq!(ids, ["myns:filter_active", "myns:transform_users"]);
    assert_eq!(wasm(&registry.functions()[1]).sha256.unwrap()[..2], [0x73, 0x04]);
}

#[test]
fn the_document_s_other_snippets_load_as_printed() {
    let hash = format!("sha256:{}", "a".repeat(64));
    let root = Root::with(&format!(
        "entries:
  - name: assets
    kind: fs.directory
    directory: ./wasm
  - name: wasm_binaries
    kind: fs.directory
    directory: ./wasm
  - name: data_files
    kind: fs.directory
    directory: ./data
    auto_init: true
  - name: output
    kind: fs.directory
    directory: ./output
    auto_init: true
  - name: store
    kind: env.storage.static
    values: {{api_key: k, DEBUG: \"1\"}}
  - name: api_key
    kind: env.variable
    storage: store
  - name: debug_mode
    kind: env.variable
    variable: DEBUG
    storage: store

  - name: greet_wasm
    kind: function.wasm
    fs: myns:assets
    path: /greet.wasm
    hash: {hash}
    method: greet
    transport: wasi-http
    pool:
      type: inline

  - name: greet_endpoint
    kind: http.endpoint
    method: POST
    path: /api/greet
    func: greet_wasm

  - name: sleep_ms
    kind: function.wasm
    fs: myns:wasm_binaries
    path: /sleep_test.wasm
    hash: {hash}
    method: \"test-sleep#sleep-ms\"
    imports:
      - wasi:io
      - wasi:clocks
    pool:
      type: inline

  - name: answer
    kind: function.wat
    source: file://answer.wat
    wit: |
      answer: func() -> s32;      
    method: answer
    pool:
      type: static
      size: 4            # Total pool size
      workers: 2         # Worker threads
      buffer: 16         # Request queue buffer (default: workers * 64)
    limits:
      max_execution_ms: 5000   # 5 second timeout
    wasi:
      args: [\"--verbose\"]
      cwd: \"/app\"
      env:
        - id: myns:api_key
          name: API_KEY
          required: true
        - id: myns:debug_mode
          name: DEBUG
      mounts:
        - fs: myns:data_files
          guest: /data
          read_only: true
        - fs: myns:output
          guest: /output
"
    ));
    root.write("answer.wat", "(module)");
    root.write("wasm/greet.wasm", "\0asm");
    root.write("wasm/sleep_test.wasm", "\0asm");
    let (registry, diagnostics) = root.read();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!(registry.functions().len(), 3);
    assert!(root.path().join("output").is_dir());
}

#[test]
fn all_yaml_files_are_read_but_those_of_hidden_and_built_folders() {
    let root = Root::with(WAT);
    root.write("deep/er/more.yml", WAT);
    root.write("list.yaml", "- {name: g, kind: registry.entry, anything: [1, 2]}\n");
    root.write("empty.yaml", "# nothing\n");
    root.write("none.yaml", "entries:\n");
    for hidden in [".git/a.yaml", "target/a.yaml", "node_modules/a.yaml", ".hidden.yaml", "notes.txt"] {
        root.write(hidden, "{{{");
    }
    let registry = root.sound();
    let ids: Vec<_> = registry.entries().iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["er:f", "myns:f", "myns:g"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_is_read_and_a_link_to_a_folder_is_not() {
    let root = Root::new();
    root.write(".data/real.yaml", WAT);
    std::os::unix::fs::symlink(".data/real.yaml", root.path().join("_index.yaml")).unwrap();
    std::os::unix::fs::symlink(".", root.path().join("loop")).unwrap();
    let ids: Vec<_> = root.sound().entries().iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["myns:f"]);
}

#[test]
fn a_file_names_its_namespace_and_version() {
    let root = Root::with(&format!("version: \"1.0\"\nnamespace: a.b/c\n{WAT}"));
    root.write("sub/_index.yaml", format!("version: 1.0\n{WAT}"));
    let registry = root.sound();
    let ids: Vec<_> = registry.functions().iter().map(|function| function.id.to_string()).collect();
    assert_eq!(ids, ["a.b/c:f", "sub:f"]);
}

#[test]
fn an_error_in_one_entry_leaves_the_others_usable() {
    let root = Root::with(&format!("{WAT}  - name: broken\n    kind: function.wat\n    source: (module)\n"));
    let (registry, diagnostics) = root.read();
    assert_eq!(diagnostics.errors().count(), 1);
    assert_eq!(registry.functions().len(), 1);
    let sound: Vec<_> = registry.entries().iter().map(|entry| (entry.id.name(), entry.sound)).collect();
    assert_eq!(sound, [("broken", false), ("f", true)]);
    assert!(Registry::load(&root.path(), &root.options).is_err());
}

#[test]
fn an_entry_with_a_duplicate_key_is_not_run_as_half_of_what_it_says() {
    let root = Root::with(&format!("{WAT}    meta: {{a: {{b: 1, b: 2}}}}\n"));
    let (registry, diagnostics) = root.read();
    assert!(registry.functions().is_empty());
    let fields: Vec<_> = diagnostics.errors().map(|error| error.field().unwrap_or_default().to_owned()).collect();
    assert_eq!(fields, ["meta.a.b"]);
}

#[test]
fn entries_say_where_they_are_and_what_they_do() {
    let registry = Root::with(WAT).sound();
    let entry = &registry.entries()[0];
    assert_eq!((entry.kind.as_str(), entry.line), ("function.wat", 2));
    assert!(entry.file.ends_with("_index.yaml"));
    assert_eq!(entry.summary, "lazy pool, method f");
}

#[test]
fn later_stages_turn_faults_into_diagnostics_at_the_field() {
    let registry = Root::with(&format!(
        "{WAT}    pool:\n      type: lazy\n    wasi:\n      args:\n        - one\n        - two\n"
    ))
    .sound();
    let at = |field: &str| {
        let diagnostic = registry.diagnose(&id("myns:f"), field, "no", Some("do".into()), Severity::Error);
        diagnostic.position().unwrap()
    };
    assert_eq!(at("method"), (5, 13));
    assert_eq!(at("pool"), (6, 5));
    assert_eq!(at("pool.type"), (7, 13));
    assert_eq!(at("pool.max_size"), (6, 5));
    assert_eq!(at("wasi.args[1]"), (11, 11));
    assert_eq!(at("wasi.args[7]"), (9, 7));
    assert_eq!(at("hash"), (2, 11));
    assert_eq!(at(""), (2, 11));
    assert_eq!(at("][.."), (2, 11));
    let nowhere = registry.diagnose(&id("no:such"), "method", "no", None, Severity::Warning);
    assert_eq!(nowhere.position(), None);
}

#[test]
fn a_fault_that_is_found_later_is_shown_in_the_file_that_has_the_entry() {
    let root = Root::with(WAT);
    root.write(
        "a/list.yaml",
        "# A list is entries, too.\n- {name: x, kind: registry.entry}\n- name: y\n  kind: registry.entry\n",
    );
    let registry = root.sound();
    let at = |of: &str, field: &str| {
        let diagnostic = registry.diagnose(&id(of), field, "no", None, Severity::Error);
        let file = serde_json::to_value(&diagnostic).unwrap()["file"].as_str().unwrap().to_owned();
        (file.rsplit('/').next().unwrap().to_owned(), diagnostic.position().unwrap())
    };
    assert_eq!(at("a:y", "kind"), ("list.yaml".to_owned(), (4, 9)));
    assert_eq!(at("a:x", "method"), ("list.yaml".to_owned(), (2, 10)));
    assert_eq!(at("myns:f", "method"), ("_index.yaml".to_owned(), (5, 13)));
}

#[test]
fn diagnostics_are_also_json() {
    let root = Root::with(&format!("{WAT}    pool: {{tpye: lazy}}\n"));
    let (_, diagnostics) = root.read();
    let json = serde_json::to_value(&diagnostics).unwrap();
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["message"], "unknown field `tpye`");
    assert_eq!((json[0]["line"].as_u64(), json[0]["column"].as_u64()), (Some(6), Some(12)));
    assert_eq!(json[0]["entry"], "myns:f");
    assert_eq!(json[0]["field"], "pool.tpye");
    assert!(json[0]["help"][0].as_str().unwrap().contains("max_size"));
    assert!(json[0]["file"].as_str().unwrap().ends_with("_index.yaml"));
}

#[test]
fn colours_are_a_choice() {
    let (_, diagnostics) = Root::with("entries: 5").read();
    assert!(diagnostics.render(true).contains('\u{1b}'));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

#[test]
fn positions_count_characters_of_any_alphabet_and_line_end() {
    let root = Root::new();
    root.write(
        "_index.yaml",
        "\u{feff}entries:\r\n  - {name: f, kind: registry.entry, meta: \"žluťoučký 🐎\"}\r\n  - {name: ž, kond: x}\r\n",
    );
    let (_, diagnostics) = root.read();
    let positions: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.position().unwrap()).collect();
    assert_eq!(positions, [(3, 15)], "{diagnostics}");
}
