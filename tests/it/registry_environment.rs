//! Variables, their storages, and the placeholders that read them.

use std::fs;

use greenroom::registry::EnvironmentError;

use crate::registry::{Root, id, wasm};

const STORES: &str = "entries:
  - {name: mem, kind: env.storage.memory}
  - {name: fix, kind: env.storage.static, values: {A: from static, N: 5, FLAG: true}}
  - {name: os, kind: env.storage.os}
  - {name: file, kind: env.storage.file, file_path: ./conf/app.env, auto_create: true, file_mode: \"0640\", dir_mode: \"0750\"}
  - {name: all, kind: env.storage.router, storages: [fix, os, mem, file]}
";

fn variables(list: &str) -> Root {
    Root::with(&format!("{STORES}{list}"))
}

#[test]
fn a_variable_is_found_by_id_and_by_public_name() {
    let root = variables(
        "  - {name: a, kind: env.variable, variable: A, storage: fix}\n  - {name: N, kind: env.variable, storage: fix}\n",
    );
    let registry = root.sound();
    let environment = registry.environment();
    for name in ["A", "myns:a"] {
        assert_eq!(environment.get(name), Ok(Some("from static".into())), "{name}");
    }
    assert_eq!(environment.get("N"), Ok(Some("5".into())));
    assert_eq!(environment.get("PATH"), Err(EnvironmentError::Unknown("PATH".into())));
    assert_eq!(environment.ids().map(|id| id.to_string()).collect::<Vec<_>>(), ["myns:N", "myns:a"]);
    assert_eq!(environment.variable(&id("myns:a")).unwrap().get(), Ok(Some("from static".into())));
}

#[test]
fn a_default_stands_in_for_a_value_that_is_not_there() {
    let root = variables(
        "  - {name: x, kind: env.variable, storage: mem, default: 7}\n  - {name: y, kind: env.variable, storage: mem}\n",
    );
    let registry = root.sound();
    assert_eq!(registry.environment().get("x"), Ok(Some("7".into())));
    assert_eq!(registry.environment().get("y"), Ok(None));
    registry.environment().set("x", "8").unwrap();
    assert_eq!(registry.environment().get("x"), Ok(Some("8".into())));
}

#[test]
fn the_process_environment_is_read_and_never_written() {
    let root = variables("  - {name: path, kind: env.variable, variable: PATH, storage: os}\n");
    let registry = root.sound();
    assert_eq!(registry.environment().get("PATH"), Ok(std::env::var("PATH").ok()));
    let error = registry.environment().set("PATH", "x").unwrap_err();
    assert_eq!(error.to_string(), "the variable `myns:path` cannot be set: its storage `myns:os` can only be read");
}

#[test]
fn readonly_variables_and_static_storages_cannot_be_set() {
    let root = variables(
        "  - {name: a, kind: env.variable, variable: A, storage: fix}\n  - {name: m, kind: env.variable, storage: mem, readonly: true, default: d}\n",
    );
    let registry = root.sound();
    assert!(matches!(registry.environment().set("A", "x"), Err(EnvironmentError::ReadOnly { .. })));
    assert!(matches!(registry.environment().set("m", "x"), Err(EnvironmentError::ReadOnly { .. })));
    assert_eq!(registry.environment().get("m"), Ok(Some("d".into())));
}

#[test]
fn a_router_reads_the_first_that_has_it_and_writes_the_first_that_takes_it() {
    let root = variables(
        "  - {name: a, kind: env.variable, variable: A, storage: all}\n  - {name: b, kind: env.variable, variable: B_OF_GREENROOM, storage: all}\n  - {name: c, kind: env.variable, variable: B_OF_GREENROOM2, storage: mem}\n",
    );
    let registry = root.sound();
    let environment = registry.environment();
    assert_eq!(environment.get("A"), Ok(Some("from static".into())));
    root.write("conf/app.env", "B_OF_GREENROOM=from file\n");
    assert_eq!(environment.get("B_OF_GREENROOM"), Ok(Some("from file".into())));
    environment.set("B_OF_GREENROOM", "from memory").unwrap();
    assert_eq!(environment.get("B_OF_GREENROOM"), Ok(Some("from memory".into())));
    assert_eq!(fs::read_to_string(root.path().join("conf/app.env")).unwrap(), "B_OF_GREENROOM=from file\n");
}

#[cfg(unix)]
#[test]
fn a_file_is_created_read_again_and_written_with_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let root = variables("  - {name: k, kind: env.variable, variable: K, storage: file}\n");
    let registry = root.sound();
    let environment = registry.environment();
    let path = root.path().join("conf/app.env");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o640, 0o750));
    assert_eq!(environment.get("K"), Ok(None));
    fs::write(&path, "# mine\nexport K='one' # note\n").unwrap();
    assert_eq!(environment.get("K"), Ok(Some("one".into())));
    environment.set("K", "two\nlines").unwrap();
    assert_eq!(environment.get("K"), Ok(Some("two\nlines".into())));
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nK=\"two\\nlines\"\n");
    assert_eq!(mode(&path), 0o640);
    fs::write(&path, "nonsense").unwrap();
    let error = environment.get("K").unwrap_err().to_string();
    assert_eq!(
        error,
        "the storage of the variable `myns:k` does not work: the file of `myns:file` cannot be read: line 1: there is no `=`"
    );
    fs::remove_file(&path).unwrap();
    assert!(matches!(environment.get("K"), Err(EnvironmentError::Storage { .. })));
}

#[test]
fn values_and_names_that_cannot_be_kept_are_refused() {
    let root = variables(
        "  - {name: a/b, kind: env.variable, storage: file}\n  - {name: m, kind: env.variable, storage: mem}\n",
    );
    let registry = root.sound();
    assert!(matches!(registry.environment().set("m", "a\0b"), Err(EnvironmentError::Value(_))));
    assert!(matches!(registry.environment().set("a/b", "x"), Err(EnvironmentError::Storage { .. })));
}

#[test]
fn placeholders_are_resolved_in_strings_of_all_entries() {
    let root = Root::with(
        "entries:
  - {name: base, kind: env.storage.static, values: {DIR: conf, WHO: \"${env:myns:name}\"}}
  - {name: names, kind: env.storage.static, values: {name: wat}}
  - {name: name, kind: env.variable, storage: names}
  - {name: dir, kind: env.variable, variable: DIR, storage: base}
  - {name: none, kind: env.variable, storage: base}
  - {name: file, kind: env.storage.file, file_path: \"${env:DIR}/${env:none|app}.env\"}
  - {name: key, kind: env.variable, variable: KEY, storage: file, default: \"${env:DIR}\"}
  - name: f
    kind: function.${env:name}
    source: (module)
    method: f
",
    );
    root.write("conf/app.env", "KEY=k\n");
    let (_, diagnostics) = root.read();
    let messages: Vec<_> = diagnostics.errors().map(|error| error.message().to_owned()).collect();
    assert_eq!(messages, ["unknown kind `function.${env:name}`"], "a kind is known before any variable is");

    root.write(
        "sub/_index.yaml",
        "
- {name: local, kind: env.storage.static, values: {mine: here}}
- {name: mine, kind: env.variable, storage: local}
- name: f
  kind: function.wat
  source: '(module (; ${env:KEY} ${env:mine} ${env:sub:mine} ;))'
  method: \"${env:none|a|b}-$${env:x}-${HOME}\"
  wasi: {args: [\"${env:DIR}\", \"x${env:none|}y\"]}
",
    );
    let (registry, diagnostics) = root.read();
    let function = registry.function(&id("sub:f")).unwrap_or_else(|| panic!("{diagnostics}"));
    let greenroom_actors::spec::Source::Text(text) = &wasm(function).source else { panic!() };
    assert_eq!(&**text, "(module (; k here here ;))");
    assert_eq!(wasm(function).method, "a|b-${env:x}-${HOME}");
    assert_eq!(wasm(function).wasi.args, ["conf", "xy"]);
}

#[test]
fn a_name_of_the_same_namespace_wins_over_those_of_others_and_a_public_name_over_both() {
    let root = Root::new();
    let variable = |value: &str| {
        format!(
            "- {{name: s, kind: env.storage.memory}}
- {{name: who, kind: env.variable, storage: s, default: {value}}}
- {{name: f, kind: function.wat, source: (module), method: '${{env:who}}'}}
"
        )
    };
    root.write("a/_index.yaml", variable("from-a"));
    root.write("b/_index.yaml", variable("from-b"));
    let methods = |root: &Root| {
        let registry = root.sound();
        registry.functions().iter().map(|function| wasm(function).method.clone()).collect::<Vec<_>>()
    };
    assert_eq!(methods(&root), ["from-a", "from-b"]);
    let environment = root.sound();
    assert_eq!(environment.environment().get("who"), Err(EnvironmentError::Unknown("who".into())));
    root.write(
        "c/_index.yaml",
        "- {name: s, kind: env.storage.memory}\n- {name: x, kind: env.variable, variable: who, storage: s, default: public}\n",
    );
    assert_eq!(methods(&root), ["public", "public"]);
    assert_eq!(root.sound().environment().get("who"), Ok(Some("public".into())));
}

#[test]
fn what_comes_out_of_a_placeholder_is_not_expanded_again() {
    let root = Root::with(
        "entries:
  - {name: s, kind: env.storage.static, values: {A: \"$${env:B}\"}}
  - {name: a, kind: env.variable, variable: A, storage: s}
  - {name: f, kind: function.wat, source: (module), method: \"${env:A}\"}
",
    );
    assert_eq!(wasm(&root.sound().functions()[0]).method, "${env:B}");
}
