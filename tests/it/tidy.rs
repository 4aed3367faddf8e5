//! What ARCHITECTURE.md promises of the code and no compiler checks: who knows of whom, and what is not to be found.

use std::{collections::BTreeSet, fs, path::Path};

use walkdir::WalkDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of a source file at most. Past 400, look for a second room; past this, there is one.
const LINES_MAX: usize = 450;

/// Where the program and the libraries are.
const SOURCES: [&str; 2] = ["src", "actors/src"];

/// Everything that is compiled.
const ALL: [&str; 6] = ["src", "actors/src", "bench/src", "tests", "actors/tests", "examples"];

/// What the modules of `greenroom-actors` may name of each other: a whole module that is below them, or one item.
const ARROWS: [(&str, &[&str]); 16] = [
    ("spec", &[]),
    ("call", &[]),
    ("tree", &["call", "spec"]),
    ("metrics", &["call", "tree"]),
    ("threads", &[]),
    ("pool", &["spec"]),
    ("executor", &["call"]),
    ("wasm", &["call", "executor", "spec", "metrics"]),
    ("dispatcher", &["call", "executor", "metrics", "pool", "spec", "threads", "tree"]),
    ("worker", &["call", "dispatcher", "executor", "metrics", "pool", "spec"]),
    ("directory", &["call", "dispatcher", "executor", "metrics", "spec"]),
    ("exchange", &["call", "directory", "executor", "spec"]),
    ("function", &["directory", "dispatcher", "executor", "metrics", "pool", "spec", "threads", "worker"]),
    ("root", &["function", "metrics"]),
    ("process", &["call", "directory", "metrics", "spec", "threads", "wasm"]),
    (
        "runtime",
        &[
            "call",
            "directory",
            "dispatcher",
            "exchange",
            "executor",
            "function",
            "metrics",
            "process",
            "root",
            "spec",
            "threads",
            "tree",
            "wasm",
        ],
    ),
];

/// What points back, item by item. Each is a name to hold or to send to, without knowing what is behind it.
const BACK: [(&str, &[&str]); 6] = [
    // A spec may hold an executor of the embedder's own, or what makes one.
    ("spec", &["executor::Executor", "runtime::Language"]),
    // The reply cell: room in the gate comes back, and the call is counted, with the answer.
    ("call", &["dispatcher::Permit"]),
    // What the values of a call must be, which is a type of WIT.
    ("executor", &["wasm::Signature"]),
    // The messages by which a run queue asks for workers, and for a supervisor first; what it reads of workers.
    ("dispatcher", &["function::FunctionMessage", "root::RootMessage", "worker::Pulse"]),
    // Whom the run queue of a function without a supervisor asks for one.
    ("function", &["root::RootMessage"]),
    // The way to ask all functions for room.
    ("worker", &["directory::Directory"]),
];

/// A source file: its path below the repository, and what is in it.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The lines without comments, which may name anything.
    fn code(&self) -> Vec<&str> {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect()
    }

    /// Where the code has one of these words: `src/x.rs:7: …`.
    fn places_of(&self, words: &[&str]) -> Vec<String> {
        let has = |line: &&str| words.iter().any(|word| line.contains(word));
        let place = |(number, line): (usize, &str)| format!("{}:{}: {}", self.path, number + 1, line.trim());
        self.code().into_iter().enumerate().filter(|(_, line)| has(line)).map(place).collect()
    }

    /// The module of the crate that it is, or is part of.
    fn module(&self, below: &str) -> &str {
        let path = self.path.strip_prefix(below).unwrap().trim_start_matches('/');
        path.split(['/', '.']).next().unwrap()
    }
}

/// The Rust files below some folders.
fn files(folders: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in WalkDir::new(Path::new(ROOT).join(folder)).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(ROOT).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    assert!(found.len() > folders.len(), "the sources are not where they were: {folders:?}");
    found
}

/// The same without this file, which names everything that it forbids.
fn files_but_this(folders: &[&str]) -> Vec<File> {
    files(folders).into_iter().filter(|file| file.path != "tests/it/tidy.rs").collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// Fails when there is any, and lists them.
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// The paths below `crate` that a code names, groups resolved: `crate::{a::{B, C}, d}` gives `a::B`, `a::C` and `d`.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|character| character.is_alphanumeric() || matches!(character, '_' | '$')) {
            resolve("", &code[at + "crate::".len()..], &mut found);
        }
    }
    found
}

/// Reads one path or group, and gives back what comes after it.
fn resolve<'a>(prefix: &str, text: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|character: char| character == ',' || character.is_whitespace());
            if rest.is_empty() || rest.starts_with('}') {
                return rest.strip_prefix('}').unwrap_or(rest);
            }
            let after = resolve(prefix, rest, found);
            // Whatever is no path is skipped, so that this ends.
            rest = if after.len() < rest.len() { after } else { &rest[rest.chars().next().unwrap().len_utf8()..] };
        }
    }
    let end = text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = match (prefix, word) {
        (prefix, "self" | "") => prefix.to_owned(),
        ("", word) => word.to_owned(),
        (prefix, word) => format!("{prefix}::{word}"),
    };
    match rest.strip_prefix("::") {
        None if path.is_empty() => rest,
        // A path of values, types or calls is known well enough by two of its parts.
        Some(more) if path.matches("::").count() == 0 || more.trim_start().starts_with('{') => {
            resolve(&path, more, found)
        }
        _ => {
            found.insert(path);
            rest
        }
    }
}

#[test]
fn groups_of_paths_are_resolved() {
    let code = "use crate::{\n    a::{B, c::{self, D}},\n    e,\n    f::*, };\nfn x(y: &crate::g::H::I) {\n\
                crate::j::k(1) } pub(crate) fn z() {} macro_rules! m { () => { $crate::n } }";
    let expected = ["a::B", "a::c", "a::c::D", "e", "f", "g::H", "j::k"];
    assert_eq!(paths(code), expected.map(str::to_owned).into());
}

#[test]
fn the_modules_of_the_tree_know_only_those_below_them() {
    let mut found = Vec::new();
    let mut modules = BTreeSet::new();
    let mut back = BTreeSet::new();
    for file in files(&["actors/src"]).iter().filter(|file| file.path != "actors/src/lib.rs") {
        let module = file.module("actors/src");
        modules.insert(module.to_owned());
        let of = |table: &[(&str, &'static [&'static str])]| {
            table.iter().find(|(name, _)| *name == module).map_or(&[] as &[&str], |(_, allowed)| allowed)
        };
        let allowed = [of(&ARROWS), of(&BACK)].concat();
        for path in paths(&file.code().join("\n")) {
            back.extend(of(&BACK).iter().filter(|item| **item == path).map(|item| format!("{module} {item}")));
            let is = |allowed: &str| path == allowed || path.starts_with(&format!("{allowed}::"));
            if !is(module) && !allowed.iter().any(|allowed| is(allowed)) {
                found.push(format!("{}: crate::{path}", file.path));
            }
        }
    }
    assert_none("these point the wrong way", &found);
    let listed = BACK.iter().flat_map(|(name, items)| items.iter().map(move |item| format!("{name} {item}")));
    assert_eq!(back, listed.collect(), "strike out what does not point back any more");
    assert_eq!(modules, ARROWS.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn nobody_reaches_another_module_by_way_of_super() {
    let mut found = Vec::new();
    for file in files(&["actors/src"]) {
        // In `a.rs`, `super` is the crate; in `a/b.rs`, `super::super` is. In an inline module it is the file itself.
        let depth = file.path.matches('/').count() - 1;
        let way = format!("use {}", "super::".repeat(depth));
        found.extend(
            file.code().iter().filter(|line| line.starts_with(&way)).map(|line| format!("{}: {line}", file.path)),
        );
    }
    assert_none("write `crate::`", &found);
}

#[test]
fn the_tree_knows_nothing_of_yaml_serving_http_and_the_command_line() {
    // What sends the requests of guests is there; what serves requests is not.
    let words = ["serde_yaml", "saphyr", "clap", "axum", "anstream"];
    let manifest = read("actors/Cargo.toml");
    let named = |line: &&str| words.iter().any(|word| line.replace('-', "_").starts_with(word));
    assert_eq!(manifest.lines().filter(named).collect::<Vec<_>>(), [""; 0]);
    let hyper = manifest.lines().find(|line| line.starts_with("hyper =")).unwrap_or_default();
    assert!(!hyper.contains("server"), "{hyper}");
    assert!(manifest.contains("\nwasmtime"), "the dependencies are not where they were");
    let paths = words.map(|word| format!("{word}::"));
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let found: Vec<_> = files(&["actors/src"]).iter().flat_map(|file| file.places_of(&paths)).collect();
    assert_none("the tree must not know", &found);
    let of_guests = "actors/src/wasm/network/";
    let to_guests = ["actors/src/call/http", "actors/src/exchange", "actors/src/wasm/incoming"];
    let all = files(&["actors/src"]);
    let places = |rooms: &[&str], words: &[&str]| -> Vec<_> {
        let others = all.iter().filter(|file| !rooms.iter().any(|room| file.path.starts_with(room)));
        others.flat_map(|file| file.places_of(words)).collect()
    };
    let connections = ["hyper_util::", "tokio_rustls::"];
    assert!(!places(&[], &connections).is_empty(), "requests of guests are not where they were");
    assert_none("only the requests of guests have connections", &places(&[of_guests], &connections));
    let rooms = [&[of_guests], &to_guests[..]].concat();
    assert_none("only requests of guests and to guests know HTTP", &places(&rooms, &["hyper::", "http_body::"]));
}

#[test]
fn the_registry_knows_nothing_of_the_engine() {
    let registry = |file: &File| file.module("src") == "registry";
    let files: Vec<_> = files(&["src"]).into_iter().filter(registry).collect();
    assert!(files.len() > 10);
    let found: Vec<_> = files.iter().flat_map(|file| file.places_of(&["wasmtime", "wasm::Engine"])).collect();
    assert_none("the registry must not know", &found);
}

#[test]
fn pools_are_pure() {
    let words =
        ["ractor", "tokio", "futures", "tracing", "metrics", "::now(", "std::fs", "std::thread", "async ", "rand::"];
    let pools: Vec<_> = files(&["actors/src"]).into_iter().filter(|file| file.module("actors/src") == "pool").collect();
    assert!(pools.len() > 4);
    // The simulation drives them in tests, and has a clock of its own.
    let pure = pools.iter().filter(|file| !file.path.ends_with("/simulation.rs"));
    assert_none("pools decide, and do nothing", &pure.flat_map(|file| file.places_of(&words)).collect::<Vec<_>>());
}

#[test]
fn metrics_are_named_in_three_places() {
    let places = ["actors/src/metrics.rs", "actors/src/wasm/cache.rs", "src/http/metrics.rs"];
    let words = ["\"greenroom_", "counter!(", "gauge!(", "histogram!("];
    let (named, others): (Vec<_>, Vec<_>) =
        files(&SOURCES).into_iter().partition(|file| places.contains(&file.path.as_str()));
    assert!(named.iter().all(|file| !file.places_of(&words).is_empty()) && named.len() == places.len());
    assert_none("these name metrics", &others.iter().flat_map(|file| file.places_of(&words)).collect::<Vec<_>>());
}

#[test]
fn the_libraries_print_nothing_and_install_nothing() {
    let cli = |file: &File| file.path.starts_with("src/cli");
    let (cli, libraries): (Vec<_>, Vec<_>) = files(&SOURCES).into_iter().partition(cli);
    let installs = ["install_recorder", "set_global_recorder", "set_global_default", "try_init(", "set_hook("];
    assert!(cli.iter().any(|file| !file.places_of(&installs).is_empty()), "the command line installs what it needs");
    let prints = ["println!(", "print!(", "dbg!(", "io::stdout(", "io::stderr("];
    let words = [installs.as_slice(), prints.as_slice()].concat();
    assert_none(
        "this is for the embedder",
        &libraries.iter().flat_map(|file| file.places_of(&words)).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_unfinished_or_left_out() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "dbg!(", "FIXME", "process::abort("];
    let found: Vec<_> = files_but_this(&ALL).iter().flat_map(|file| file.places_of(&words)).collect();
    assert_none("finish these", &found);
}

#[test]
fn unsafe_code_is_denied_but_where_compiled_code_is_loaded() {
    let root = read("Cargo.toml");
    assert!(root.contains("\nunsafe_code = \"deny\"\n"));
    for manifest in [root, read("actors/Cargo.toml")] {
        assert!(manifest.contains("[lints]\nworkspace = true\n"));
    }
    let words = ["unsafe_code", "unsafe {"];
    let (loads, others): (Vec<_>, Vec<_>) =
        files_but_this(&ALL).into_iter().partition(|file| file.path == "actors/src/wasm/cache/files.rs");
    assert_none("this is unsafe", &others.iter().flat_map(|file| file.places_of(&words)).collect::<Vec<_>>());
    let found: Vec<_> = loads.iter().flat_map(|file| file.places_of(&words)).collect();
    assert!(found.len() == 2 && found[1].contains("Component::deserialize_file("), "{found:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = files(&ALL).into_iter().filter(|file| !file.text.starts_with("//! "));
    assert_none("these do not open with their purpose", &silent.map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn every_file_is_one_room_with_a_name_of_its_own() {
    let long = |file: &File| file.text.lines().count() > LINES_MAX;
    let named = |file: &File| {
        let name = Path::new(&file.path).file_stem().unwrap().to_str().unwrap().to_owned();
        ["mod", "util", "utils", "common", "helpers", "misc"].contains(&name.as_str())
    };
    let found: Vec<_> = files(&SOURCES).into_iter().filter(|file| long(file) || named(file)).collect();
    assert_none("find the second room", &found.into_iter().map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn the_map_has_every_room() {
    let architecture = read("ARCHITECTURE.md");
    let (_, map) = architecture.split_once("## The map").expect("there is a map");
    let (_, map) = map.split_once("```text").unwrap();
    let (map, _) = map.split_once("```").unwrap();
    let (actors, root) = map.split_once("\nsrc/").unwrap();
    let is_word = |map: &str, word: &str| {
        map.split(|character: char| !(character.is_alphanumeric() || character == '_')).any(|found| found == word)
    };
    let mut missing = Vec::new();
    for (folder, map) in [("actors/src", actors), ("src", root)] {
        let modules = files(&[folder]).into_iter().map(|file| file.module(folder).to_owned());
        missing.extend(modules.filter(|module| !is_word(map, module)).map(|module| format!("{folder}/{module}")));
    }
    // The biggest room has its own lines.
    let wasm = files(&["actors/src/wasm"]).into_iter().map(|file| file.module("actors/src/wasm").to_owned());
    missing.extend(wasm.filter(|module| !is_word(actors, module)).map(|module| format!("actors/src/wasm/{module}")));
    missing.sort();
    missing.dedup();
    assert_none("the map of ARCHITECTURE.md lacks", &missing);
}
