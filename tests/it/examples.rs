//! The example registries: every command of every README gives the answer below it, and every claim beside them holds.

mod served;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use greenroom::ErrorKind;
use walkdir::WalkDir;

use self::served::Served;
use crate::{
    cli::{EXAMPLES, program},
    guests::built::{LANGUAGES, built, folder},
};

/// Every registry among the examples, below their folder.
const ROOTS: [&str; 20] = [
    "answer",
    "commands",
    "compute",
    "document/again",
    "document/entries",
    "document/fields",
    "document/lua",
    "env-and-mounts",
    "funcs",
    "http-greet",
    "http-native",
    "http-routes",
    "http-static",
    "limits",
    "lua-pipeline",
    "network",
    "pipeline",
    "rust",
    "sleep",
    "strings",
];

/// A copy of the examples, for those that write files, in the folder where the commands of the READMEs are run.
pub struct Copy(tempfile::TempDir);

impl Copy {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let committed = |path: &Path| !path.starts_with("guests") && !path.ends_with("output");
        let below = |path: &Path| path.strip_prefix(EXAMPLES).unwrap().to_owned();
        for entry in WalkDir::new(EXAMPLES).into_iter().filter_entry(|entry| committed(&below(entry.path()))) {
            let entry = entry.unwrap();
            let to = dir.path().join("registry-examples").join(below(entry.path()));
            if entry.file_type().is_dir() {
                fs::create_dir_all(to).unwrap();
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
        // Where they are built, as they are: nothing is written there.
        if folder().exists() {
            fs::create_dir(dir.path().join("target")).unwrap();
            std::os::unix::fs::symlink(folder(), dir.path().join("target/guests")).unwrap();
        }
        Self(dir)
    }

    /// The root of one of the registries.
    pub fn root(&self, name: &str) -> PathBuf {
        self.0.path().join("registry-examples").join(name)
    }

    /// Runs a command line as a README has it, where `greenroom` is the program under test.
    fn run(&self, line: &str) -> Output {
        let program = program();
        let folder = Path::new(program.get_program()).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap();
        let mut shell = Command::new("sh");
        let set = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.envs(set).env("PATH", path).current_dir(self.0.path());
        for variable in ["GREENROOM_EXAMPLE_API_KEY", "GREENROOM_EXAMPLE_MODE", "MYNS_API_KEY", "MYNS_DEBUG"] {
            shell.env_remove(variable);
        }
        shell.args(["-c", line]).output().unwrap()
    }
}

/// A command of a README, and the lines below it.
struct Shown {
    line: String,
    below: String,
}

fn readme(folder: &str) -> String {
    fs::read_to_string(Path::new(EXAMPLES).join(folder).join("README.md")).unwrap()
}

/// The commands of the fenced blocks.
fn commands(readme: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let blocks = readme.split("```").skip(1).step_by(2).filter(|block| block.contains("\n$ "));
    for line in blocks.flat_map(|block| block.lines().skip(1)) {
        match line.strip_prefix("$ ") {
            Some(line) => found.push(Shown { line: line.to_owned(), below: String::new() }),
            None => found.last_mut().unwrap().below.push_str(&format!("{line}\n")),
        }
    }
    found
}

/// Fails when a command does not do what its README says: the lines below it are the result, or the error.
fn assert_as_shown(shown: &Shown, output: &Output) {
    let Shown { line, below } = shown;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if let Some(kind) = below.strip_prefix("error[").and_then(|rest| rest.split(']').next()) {
        assert_eq!((stdout.as_str(), &stderr), ("", below), "{line}");
        assert_eq!(output.status.code(), Some(exit_code(kind)), "{line}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
    if line.starts_with("curl ") {
        // Bodies have no newline at their end.
        assert_eq!(stdout.trim_end(), below.trim_end(), "{line}");
        return;
    }
    // How long it slept; the READMEs say that it may be more than what was asked for.
    if let Some((_, asked)) = line.split_once("sleep_ms ").or_else(|| line.split_once(" nap ")) {
        let (asked, slept): (f64, f64) = (asked.parse().unwrap(), stdout.trim().parse().unwrap());
        assert_eq!(*below, format!("{asked}\n"));
        // The clock of a guest may be coarser than its sleep.
        assert!(slept >= asked - 1.0, "{line}: {stdout}");
    } else {
        assert_eq!(&stdout, below, "{line}");
    }
}

fn exit_code(kind: &str) -> i32 {
    let kind = ErrorKind::ALL.into_iter().find(|known| known.name() == kind);
    kind.unwrap_or_else(|| panic!("no kind of error")).exit_code().into()
}

/// Runs every command of one README, in order, in one copy.
fn all_as_shown(folder: &str) {
    if LANGUAGES.contains(&folder) && built(folder).is_none() {
        return;
    }
    let copy = Copy::new();
    let (curls, commands): (Vec<_>, Vec<_>) =
        commands(&readme(folder)).into_iter().partition(|shown| shown.line.starts_with("curl "));
    let is_shown = !curls.is_empty() || commands.iter().any(|shown| shown.line.contains("greenroom "));
    assert!(is_shown, "{folder} shows no command");
    for shown in commands {
        assert_as_shown(&shown, &copy.run(&shown.line));
    }
    if !curls.is_empty() && served::curl_is_there() {
        let served = Served::new(&copy.root(folder));
        for shown in curls {
            assert_as_shown(&shown, &copy.run(&format!("{} --noproxy '*'", served.line(&shown.line))));
        }
    }
}

macro_rules! every_readme {
    ($($test:ident: $folder:literal,)*) => {
        const FOLDERS: &[&str] = &[$($folder),*];
        $(
            #[test]
            fn $test() {
                all_as_shown($folder);
            }
        )*
    };
}

every_readme! {
    the_commands_of_answer_do_what_its_readme_says: "answer",
    the_commands_of_commands_do_what_its_readme_says: "commands",
    the_commands_of_compute_do_what_its_readme_says: "compute",
    the_commands_of_document_do_what_its_readme_says: "document",
    the_commands_of_env_and_mounts_do_what_its_readme_says: "env-and-mounts",
    the_commands_of_funcs_do_what_its_readme_says: "funcs",
    the_commands_of_http_greet_do_what_its_readme_says: "http-greet",
    the_commands_of_http_native_do_what_its_readme_says: "http-native",
    the_commands_of_http_routes_do_what_its_readme_says: "http-routes",
    the_commands_of_http_static_do_what_its_readme_says: "http-static",
    the_commands_of_javascript_do_what_its_readme_says: "javascript",
    the_commands_of_limits_do_what_its_readme_says: "limits",
    the_commands_of_lua_pipeline_do_what_its_readme_says: "lua-pipeline",
    the_commands_of_network_do_what_its_readme_says: "network",
    the_commands_of_pipeline_do_what_its_readme_says: "pipeline",
    the_commands_of_python_do_what_its_readme_says: "python",
    the_commands_of_rust_do_what_its_readme_says: "rust",
    the_commands_of_sleep_do_what_its_readme_says: "sleep",
    the_commands_of_strings_do_what_its_readme_says: "strings",
}

#[test]
fn every_folder_is_listed_and_its_commands_are_run() {
    let folders: BTreeSet<_> = fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    // The sources of the guests are no registry.
    let expected: BTreeSet<_> = FOLDERS.iter().chain(&["guests"]).map(|folder| (*folder).to_owned()).collect();
    assert_eq!(folders, expected);
    let list = readme("");
    for folder in FOLDERS {
        assert!(list.contains(&format!("| [{folder}]({folder}) |")), "{folder} is not listed");
    }
    assert!(list.contains("[guests](guests)"));
}

#[test]
fn the_examples_of_the_test_are_those_with_registry_files() {
    let yaml = |path: &Path| path.extension().is_some_and(|extension| extension == "yaml");
    let mut roots = BTreeSet::new();
    for entry in WalkDir::new(EXAMPLES).into_iter().map(|entry| entry.unwrap()).filter(|entry| yaml(entry.path())) {
        let folder = entry.path().parent().unwrap().strip_prefix(EXAMPLES).unwrap();
        // The document's registries have their files in a folder named for their namespace.
        roots.insert(folder.to_str().unwrap().trim_end_matches("/myns").to_owned());
    }
    assert_eq!(roots, ROOTS.map(str::to_owned).into());
}

#[test]
fn every_example_is_sound() {
    let copy = Copy::new();
    for root in ROOTS {
        let checked = copy.run(&format!("greenroom check registry-examples/{root}"));
        assert_eq!(checked.status.code(), Some(0), "{root}: {checked:?}");
        let stdout = String::from_utf8(checked.stdout).unwrap();
        assert!(stdout.trim_end().lines().last().unwrap().contains(" entries: 0 errors, "), "{root}: {stdout}");
    }
}

/// The rows of the first table that has a header with this first cell.
fn table(readme: &str, first: &str) -> Vec<Vec<String>> {
    let rows = readme.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn calls_that_go_too_far_fail_as_the_table_says() {
    let copy = Copy::new();
    let rows = table(&readme("limits"), "call");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let [call, kind, exit, names] = row.as_slice() else { panic!("{row:?}") };
        let (call, kind) = (code(call)[0], code(kind)[0]);
        assert_eq!(exit.parse(), Ok(exit_code(kind)), "{call}");
        let output = copy.run(&format!("greenroom call registry-examples/limits {call}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit_code(kind)), "{call}: {stderr}");
        let message = stderr.lines().next().unwrap();
        assert!(message.starts_with(&format!("error[{kind}]: ")), "{call}: {message}");
        for name in code(names) {
            assert!(message.contains(name), "{call}: {message}");
        }
    }
}

#[test]
fn the_mode_of_env_and_mounts_can_be_changed_from_outside() {
    let copy = Copy::new();
    let said = code(&readme("env-and-mounts")).into_iter().find(|code| code.contains("=loud")).unwrap().to_owned();
    let output = copy.run(&format!("{said} greenroom call registry-examples/env-and-mounts read_env MODE"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "\"loud\"\n");
}

#[test]
fn a_function_reaches_the_local_server_of_its_entry_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            // Its first bytes come at once, and a request of these functions is no longer.
            if stream.read(&mut request).is_ok() {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"));
            }
        }
    });
    let copy = Copy::new();
    let index = copy.root("network/_index.yaml");
    let listed = fs::read_to_string(&index).unwrap().replace("localhost:8765", &format!("localhost:{port}"));
    fs::write(index, listed).unwrap();
    let call = |line: &str| {
        let output = copy.run(&format!("greenroom call registry-examples/network {line}"));
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (answer, _) = call(&format!("get http://localhost:{port}/"));
    assert!(answer.contains("\"status\": 200") || answer.contains("\"status\":200"), "{answer}");
    assert!(answer.contains("hello"), "{answer}");
    let (answer, log) = call(&format!("get http://localhost:{}/", port ^ 1));
    assert_eq!(answer, "{\"err\":\"HTTP-request-denied\"}\n");
    assert!(log.contains(&format!("add `localhost:{}` to wasi.network.allow", port ^ 1)), "{log}");
}

#[test]
fn what_a_guest_prints_is_a_line_of_the_log_with_its_id() {
    let output = Copy::new().run("greenroom call registry-examples/env-and-mounts env-and-mounts:print '\"hello\"'");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().any(|line| line.contains("hello") && line.contains("env-and-mounts:print")), "{stderr}");
}

#[test]
fn a_check_of_env_and_mounts_warns_of_files_that_are_not_granted_and_of_nothing_else() {
    let output = Copy::new().run("greenroom check registry-examples/env-and-mounts");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let warnings: BTreeSet<_> = stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(warnings.iter().all(|warning| warning.contains("imports wasi:filesystem, which")), "{stderr}");
    // What is imported for its types alone needs no grant.
    let inspected = Copy::new().run("greenroom inspect registry-examples/env-and-mounts/wasm/files.wasm");
    assert!(String::from_utf8(inspected.stdout).unwrap().contains("wasi:clocks/wall-clock"));
}

#[test]
fn sleep_without_its_grant_loads_and_a_call_says_what_to_grant() {
    let copy = Copy::new();
    let index = copy.root("sleep/_index.yaml");
    let granted = fs::read_to_string(&index).unwrap();
    let refused = granted.replace("      - wasi:clocks\n", "");
    assert_ne!(granted, refused);
    fs::write(index, refused).unwrap();
    assert_eq!(copy.run("greenroom check registry-examples/sleep").status.code(), Some(0));
    let output = copy.run("greenroom call registry-examples/sleep sleep:sleep_ms 50");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_code("permission_denied")), "{stderr}");
    assert!(stderr.contains("wasi:clocks"), "{stderr}");
}
