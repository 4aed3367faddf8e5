//! What `greenroom check` and a load say of functions in Lua.

use greenroom::{check, registry::LoadOptions, wasm::CacheOptions};

use super::{entry, item, lua};
use crate::registry::Root;

/// All diagnostics of a check, without the root's path.
fn checked(root: &Root) -> String {
    let checked = check(&root.path(), &LoadOptions::default(), CacheOptions::default()).unwrap();
    checked.diagnostics.render(false).replace(&root.path().display().to_string(), "ROOT")
}

#[test]
fn syntax_errors_are_refused_where_they_stand() {
    let root = Root::with(
        &(entry("f", "", "local x = = 1") + "  - {name: lib, kind: library.lua, source: \"file://lib.lua\"}\n"),
    );
    root.write("lib.lua", "return {\n  a = 1\n  b = 2\n}\n");
    insta::assert_snapshot!(checked(&root));
}

#[test]
fn literal_ids_and_modules_that_are_not_there_are_warned_of() {
    let yaml = entry(
        "f",
        "modules: [funcs]\nimports: {lib: lib}",
        "local json = require('json')\nlocal lib = require('lib')\nlocal odd = require('odd')\n\
         funcs.call('myns:g', 1)\nfuncs.call('h')\nfuncs.async('other:x')\nreturn funcs.call('f')",
    ) + &item("g", "", "return 1")
        + "  - {name: lib, kind: library.lua, source: return 1}\n";
    insta::assert_snapshot!(checked(&Root::with(&yaml)));
}

#[test]
fn wrong_fields_of_lua_entries_say_what_is_right() {
    let root = Root::with(
        "entries:\n  - {name: a, kind: function.lua}\n  - {name: b, kind: function.lua, source: return 1, modules: [jso]}\n  \
         - {name: c, kind: function.lua, source: return 1, imports: {json: a, x: b, y: none}}\n  \
         - {name: d, kind: function.lua, source: \"file://none.lua\", wit: x}\n  \
         - {name: e, kind: function.lua, source: return 1, limits: {max_memory_bytes: 10, max_stack_bytes: 1}}\n  \
         - {name: g, kind: library.lua, source: return 1, method: x}\n  \
         - {name: h, kind: function.lua, source: return 1, network: {allow: [\"a.b:1\"]}}\n  \
         - {name: i, kind: function.lua, source: return 1, modules: [http_client]}\n  \
         - {name: j, kind: function.lua, source: return 1, modules: [http_client], network: {allow: [nowhere]}}\n",
    );
    insta::assert_snapshot!(checked(&root));
}

#[test]
fn libraries_that_import_each_other_in_a_circle_are_refused() {
    let root = Root::with(
        "entries:\n  - {name: f, kind: function.lua, source: return 1, imports: {a: a}}\n  \
         - {name: a, kind: library.lua, source: return 1, imports: {b: b}}\n  \
         - {name: b, kind: library.lua, source: return 1, imports: {a: a}}\n  \
         - {name: self, kind: library.lua, source: return 1, imports: {me: self}}\n",
    );
    insta::assert_snapshot!(checked(&root));
}

#[test]
fn a_source_that_is_larger_than_its_limit_is_refused() {
    let root = lua("limits: {max_module_bytes: 20}", "return 'more than twenty bytes of code'");
    assert!(checked(&root).contains("`limits.max_module_bytes` is 20"), "{}", checked(&root));
}
