//! Nothing that a file holds makes a load panic or hang.

use std::time::{Duration, Instant};

use greenroom::registry::Diagnostics;
use proptest::prelude::*;

use crate::registry::{Root, WAT};

const RICH: &str = "version: \"1.0\"
namespace: myns
entries:
  - {name: s, kind: env.storage.static, values: {A: a, B: 5}}
  - {name: r, kind: env.storage.router, storages: [s, m]}
  - {name: m, kind: env.storage.memory}
  - {name: a, kind: env.variable, variable: A, storage: r, default: \"${env:B|x}\", readonly: true}
  - {name: b, kind: env.variable, variable: B, storage: s}
  - name: f
    kind: function.wat
    meta: {anything: [&x 1, *x]}
    source: |
      (module (func (export \"f\")))
    wit: 'f: func();'
    method: \"${env:A}\"
    transport: payload
    imports: [wasi:io, wasi:clocks]
    pool: {type: adaptive, max_size: 4, warm_start: true, idle_timeout: 5s, buffer: 3, on_full: wait, reuse: 2}
    limits: {max_execution_ms: 5, max_memory_bytes: 65536}
    wasi: {args: [a, 5], cwd: /é, env: [{id: a, name: A, required: true}], mounts: [{fs: d, guest: /d}]}
  - {name: d, kind: fs.directory, directory: ., base: module, mode: \"0755\"}
  - {name: http, kind: http.service, addr: ':80', timeouts: {read: 5s, write: 1, idle: 1h}, lifecycle: {auto_start: true}}
  - name: api
    kind: http.router
    meta: {server: http}
    prefix: /api
    middleware: [cors, compress, ratelimit, real_ip]
    options: {cors.allow.origins: 'https://a.b, http://c', cors.max.age: 5, compress.level: best, ratelimit.key: 'header:X'}
  - {name: e, kind: http.endpoint, meta: {router: api}, method: GET, path: '/{a}/{b...}', func: f}
  - {name: w, kind: http.static, path: /w, fs: d, directory: ., static_options: {index: false, cache: no-store}}
";

/// Loads bytes as a registry file, and renders what is said in both forms.
fn load(bytes: &[u8]) -> Diagnostics {
    let root = Root::new();
    root.write("_index.yaml", bytes);
    let (registry, diagnostics) = root.read();
    let rendered = diagnostics.render(true);
    assert_eq!(rendered.is_empty(), diagnostics.is_empty());
    serde_json::to_string(&diagnostics).unwrap();
    assert!(format!("{registry:?}").len() < 1 << 20);
    diagnostics
}

#[test]
fn the_file_that_is_mutated_is_sound() {
    let diagnostics = load(RICH.as_bytes());
    assert!(!diagnostics.has_errors(), "{diagnostics}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_paths_of_endpoints_are_read_or_refused(paths in proptest::collection::vec("(/|\\{a\\}|\\{b\\}|\\{r\\.\\.\\.\\}|[{}.*%é]|[ax]{1,2}){1,6}", 1..6)) {
        let endpoint = |(number, path): (usize, &String)| {
            format!("  - {{name: e{number}, kind: http.endpoint, method: GET, path: '/{path}', func: f}}\n")
        };
        let endpoints: String = paths.iter().enumerate().map(endpoint).collect();
        load(format!("{WAT}{endpoints}").as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        load(&bytes);
    }

    #[test]
    fn any_characters_of_yaml_are_read_or_refused(text in "[-a-c:?,\\[\\]{}#&*!|>'\"%@ \n\t~0-9$é]{0,120}") {
        load(text.as_bytes());
        load(format!("{WAT}    meta: {text}").as_bytes());
        load(format!("{WAT}    {text}").as_bytes());
    }

    #[test]
    fn a_sound_file_with_some_bytes_changed_is_read_or_refused(
        edits in proptest::collection::vec((0..RICH.len(), any::<u8>(), 0..3_usize), 1..6)
    ) {
        let mut bytes = RICH.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            let at = at.min(bytes.len() - 1);
            match edit {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b" \n:-{}[]&*$\"'"[usize::from(byte) % 13]),
            }
        }
        load(&bytes);
    }

    #[test]
    fn a_sound_file_with_lines_moved_or_cut_is_read_or_refused(cut in 0..RICH.len(), from in 0..28_usize, to in 0..28_usize) {
        let mut lines: Vec<_> = RICH.lines().collect();
        let line = lines.remove(from.min(lines.len() - 1));
        lines.insert(to.min(lines.len()), line);
        load(lines.join("\n").as_bytes());
        load(RICH.get(..cut).unwrap_or_default().as_bytes());
    }
}

#[test]
fn large_files_of_any_one_thing_end_soon() {
    // Large enough for what is quadratic to miss the bound by far, small enough for a test.
    const BYTES: usize = 1 << 18;
    let bound = Duration::from_secs(30);
    for piece in [
        "[",
        "{",
        "- ",
        "? ",
        "\"",
        "&a ",
        "!t ",
        "*a ",
        "a: ",
        "a: b\n",
        "- - \n",
        "'",
        "|\n",
        "%\n",
        "---\n",
        "a,",
        "{a: ",
        "- {name: x, kind: y}\n",
        "- 5\n",
        "x",
        "#",
        "é",
        "\t",
        "${env:",
        "[a,",
        "k",
    ] {
        let started = Instant::now();
        load(piece.repeat(BYTES / piece.len()).as_bytes());
        assert!(started.elapsed() < bound, "{piece:?} took {:?}", started.elapsed());
    }
    let numbered = |line: &dyn Fn(usize) -> String, head: &str| {
        let started = Instant::now();
        let mut text = head.to_owned();
        for number in 0.. {
            if text.len() > BYTES {
                break;
            }
            text.push_str(&line(number));
        }
        let diagnostics = load(text.as_bytes());
        assert!(started.elapsed() < bound, "{head:?} took {:?}", started.elapsed());
        diagnostics.len()
    };
    let most = Diagnostics::PER_FILE_MAX + 1;
    assert_eq!(numbered(&|number| format!("key{number}: 1\n"), "entries: []\n"), most);
    assert_eq!(numbered(&|number| format!("k{}: 1\n", number % 1000), "entries: []\n"), most);
    assert_eq!(numbered(&|number| format!("- {{name: f{number}, kind: registry.entry}}\n"), ""), 0);
    assert_eq!(numbered(&|number| format!("- {{name: e{number}, kind: http.endpoint, func: f{number}}}\n"), ""), most);
    let many = |kind: &'static str| {
        move |number: usize| format!("- {{name: n{number}, kind: {kind}, path: /{number}, func: f, method: GET}}\n")
    };
    assert_eq!(numbered(&many("http.endpoint"), "- {name: f, kind: function.wat, source: (module), method: f}\n"), 0);
    assert_eq!(
        numbered(
            &|number| format!("- {{name: r{number}, kind: http.router}}\n- {{name: s{number}, kind: http.service}}\n"),
            ""
        ),
        most
    );
    let chain = |number: usize| {
        format!("- {{name: v{number}, kind: env.variable, storage: s, default: '${{env:v{}}}'}}\n", number + 1)
    };
    assert!(numbered(&chain, "- {name: s, kind: env.storage.memory}\n") > 0);
}

#[test]
fn placeholders_cannot_multiply_without_bound() {
    let mut text =
        "- {name: s, kind: env.storage.memory}\n- {name: v0, kind: env.variable, storage: s, default: 0123456789}\n"
            .to_owned();
    for number in 1..30 {
        let twice = format!("${{env:v{}}}", number - 1).repeat(8);
        text.push_str(&format!("- {{name: v{number}, kind: env.variable, storage: s, default: '{twice}'}}\n"));
    }
    let diagnostics = load(text.as_bytes());
    assert!(diagnostics.errors().any(|error| error.message().contains("come to more than 64 MiB")), "{diagnostics}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let root = Root::with(
        "entries:
  - {name: f, kind: function.wat, source: 'file://pipe', method: f}
  - {name: s, kind: env.storage.file, file_path: pipe}
  - {name: d, kind: fs.directory, directory: .}
",
    );
    for name in ["pipe", "pipe.yaml"] {
        assert!(std::process::Command::new("mkfifo").arg(root.path().join(name)).status().unwrap().success());
    }
    let (_, diagnostics) = root.read();
    assert_eq!(
        diagnostics.errors().filter(|error| error.message().contains("no regular file")).count(),
        3,
        "{diagnostics}"
    );
}
