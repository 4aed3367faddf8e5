//! What a user reads when a registry is at fault. Each snapshot holds one topic; read it when it changes.

use std::fmt::Write;

use crate::registry::{Root, WAT};

/// Renders each case under its name.
fn report(cases: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, index) in cases {
        writeln!(out, "======== {name}\n{}", Root::with(index).rendered()).unwrap();
    }
    out
}

/// A case of an inline function with more fields.
fn wat<'a>(name: &'a str, fields: &str) -> (&'a str, String) {
    (name, format!("{WAT}{fields}"))
}

fn entries<'a>(name: &'a str, entries: &str) -> (&'a str, String) {
    (name, format!("entries:\n{entries}"))
}

#[test]
fn faults_of_yaml_itself() {
    let deep = format!("entries: {}{}", "[".repeat(70), "]".repeat(70));
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..8 {
            let previous = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{previous}]").unwrap();
        }
        text
    };
    let text = report(&[
        ("bad indentation", "entries:\n  - name: f\n   kind: x\n".into()),
        ("a tab", "entries:\n\t- name: f\n".into()),
        ("an open quote", "entries:\n  - name: \"f\n".into()),
        ("an open bracket", "entries: [\n".into()),
        ("a colon too many", "entries:\n  - name: a: b\n".into()),
        ("an unknown anchor", "entries: *nowhere\n".into()),
        ("an anchor that holds itself", "entries: &a [*a]\n".into()),
        ("two documents", "entries: []\n---\nentries: []\n".into()),
        ("a tag", "entries: !custom []\n".into()),
        ("nesting too deep", deep),
        ("aliases that multiply", bomb),
        ("a duplicate key", format!("{WAT}    method: g\n")),
        ("a list as a key", "? [a]\n: b\n".into()),
        ("a merge key", format!("{WAT}    pool:\n      <<: {{max_size: 1}}\n")),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_a_file() {
    let text = report(&[
        ("a scalar", "hello\n".into()),
        ("no entries", "version: \"1.0\"\n".into()),
        ("misspelt entries", "entires: []\n".into()),
        ("entries that are no list", "entries: {a: b}\n".into()),
        ("another version", "version: \"2.0\"\nentries: []\n".into()),
        ("a bad namespace", "namespace: \"a b\"\nentries: []\n".into()),
        ("a number as namespace", "namespace: 5\nentries: []\n".into()),
        ("an entry that is no mapping", "entries: [5]\n".into()),
        ("control characters", "entries:\n  - {name: f, kind: \"\\e[31mred\"}\n".into()),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn files_that_cannot_be_read() {
    let mut out = String::new();
    let mut add = |name: &str, root: &Root| writeln!(out, "======== {name}\n{}", root.rendered()).unwrap();
    let root = Root::new();
    root.write("_index.yaml", b"entries:\n  - name: \xff\n");
    add("not UTF-8", &root);
    let root = Root::new();
    root.write("_index.yaml", vec![b'#'; (8 << 20) + 1]);
    add("over 8 MiB", &root);
    add("no YAML", &Root::new());
    let root = Root::new();
    root.write("my folder/_index.yaml", WAT);
    add("a folder that is no namespace", &root);
    let root = Root::new();
    std::fs::remove_dir(root.path()).unwrap();
    add("no root", &root);
    std::fs::write(root.path(), "").unwrap();
    add("a root that is a file", &root);
    let text = out;
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_names_and_kinds() {
    let mut root = Root::with("entries:\n  - {name: f, kind: my.kind, whatever: 1}\n");
    root.options.allow_unknown_kinds = true;
    let allowed = root.rendered();
    let two_files = Root::with(WAT);
    two_files.write("other.yaml", format!("\n\n{WAT}"));
    let mut out = report(&[
        entries("no name", "  - kind: function.wat\n"),
        entries("no kind", "  - name: f\n    knid: function.wat\n"),
        entries("a name with a namespace", "  - {name: 'a:b', kind: registry.entry}\n"),
        entries("an empty name", "  - {name: '', kind: registry.entry}\n"),
        entries("a name that is a number", "  - {name: 5, kind: registry.entry}\n"),
        entries("a misspelt kind", "  - {name: f, kind: function.wsam}\n"),
        entries("an unknown kind", "  - {name: f, kind: queue.consumer}\n"),
        entries("an endpoint without a function", "  - {name: e, kind: http.endpoint, path: /, func: nope}\n"),
        entries("two with one id", "  - {name: f, kind: registry.entry}\n  - {name: f, kind: process.host}\n"),
    ]);
    writeln!(out, "======== an unknown kind that is allowed\n{allowed}").unwrap();
    writeln!(out, "======== two files with one id\n{}", two_files.rendered()).unwrap();
    let text = out;
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_fields() {
    let text = report(&[
        entries("nothing but name and kind", "  - {name: f, kind: function.wasm}\n"),
        wat("a misspelt field", "    metod: f\n"),
        wat("a field in another case", "    maxSize: 4\n"),
        wat("a field that wat has not", "    hash: x\n"),
        wat("a field without a value", "    pool:\n    limits: {max_execution_ms: 5}\n"),
        wat("a string for a mapping", "    pool: lazy\n"),
        wat("a mapping for a string", "    wit: {a: b}\n"),
        wat("a number for a string", "    wit: 5\n"),
        wat("a string for a list", "    imports: wasi:io\n"),
        wat("an empty string", "    wit: \"\"\n"),
        wat("an unknown transport", "    transport: http\n"),
        wat("a misspelt capability", "    imports: [wasi:clock, wasi:io]\n"),
        wat("a capability by its interface", "    imports: [\"wasi:io/streams@0.2.0\"]\n"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_pools_and_limits() {
    let text = report(&[
        wat("a misspelt pool type", "    pool: {type: lasy}\n"),
        wat("a field of another type", "    pool: {type: lazy, workers: 2}\n"),
        wat("a field of no untyped pool", "    pool: {size: 2, warm_start: true}\n"),
        wat("reuse in an inline pool", "    pool: {type: inline, reuse: 2}\n"),
        wat("size below workers", "    pool: {type: static, size: 1, workers: 2}\n"),
        wat("zero", "    pool: {max_size: 0}\n"),
        wat("a negative number", "    pool: {max_size: -1}\n"),
        wat("a fraction", "    pool: {max_size: 1.5}\n"),
        wat("a string for a number", "    pool: {max_size: \"4\"}\n"),
        wat("a string for a flag", "    pool: {type: adaptive, warm_start: yes}\n"),
        wat("a duration without a unit", "    pool: {idle_timeout: \"30\"}\n"),
        wat("a duration with a strange unit", "    pool: {idle_timeout: 5 days}\n"),
        wat("an unknown on_full", "    pool: {on_full: block}\n"),
        wat(
            "limits out of bounds",
            "    limits: {max_execution_ms: 0, max_memory_bytes: 1, max_module_bytes: 99999999999}\n",
        ),
        wat("a misspelt limit", "    limits: {max_exec_ms: 5}\n"),
        (
            "a source over its limit",
            format!("{WAT}    limits: {{max_module_bytes: 8}}\n").replace("(module)", "(module (func))"),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_wasi() {
    let data = "  - {name: data, kind: fs.directory, directory: .}
  - {name: mem, kind: env.storage.memory}
  - {name: tok, kind: env.variable, variable: TOK, storage: mem}\n";
    let wat = |name, fields: &str| (name, format!("{WAT}    wasi: {fields}\n{data}"));
    let text = report(&[
        wat("a relative cwd", "{cwd: app}"),
        wat("a relative guest path", "{mounts: [{fs: data, guest: data}]}"),
        wat("a guest path that climbs", "{mounts: [{fs: data, guest: /a/../b}]}"),
        wat("two mounts at one path", "{mounts: [{fs: data, guest: /d}, {fs: data, guest: /d/}]}"),
        wat("a mount without fs", "{mounts: [{guest: /d}]}"),
        wat("a mount of nothing", "{mounts: [{fs: date, guest: /d}]}"),
        wat("a mount of the wrong kind", "{mounts: [{fs: f, guest: /d}]}"),
        wat("a variable that is not there", "{env: [{id: key, name: KEY}]}"),
        wat("a variable of the wrong kind", "{env: [{id: data, name: KEY}]}"),
        wat("a list as an argument", "{args: [[a]]}"),
        wat("a NUL in an argument", "{args: [\"a\\0\"]}"),
        wat("two variables with one name", "{env: [{id: tok}, {id: tok, name: TOK}]}"),
        wat("a name that is none", "{env: [{id: tok, name: A=B}]}"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_networks() {
    let wat = |name, allow: &str| (name, format!("{WAT}    wasi: {{network: {{allow: [{allow}]}}}}\n"));
    let secret = "  - {name: s, kind: env.storage.static, values: {HOST: hunter2}}
  - {name: host, kind: env.variable, variable: HOST, storage: s}\n";
    let http = |(name, index): (&'static str, String)| (name, format!("{index}    imports: [wasi:http]\n"));
    let text = report(&[
        http(wat("no port", "api.example.com")),
        http(wat("a URL", "\"https://api.example.com/v1\"")),
        http(wat("a port that is none", "api.example.com:http")),
        http(wat("a wildcard inside a name", "api.*.com:443")),
        http(wat("IPv6 without brackets", "\"fd00::1:443\"")),
        http(wat("a block that begins elsewhere", "10.1.2.3/8:443")),
        http(wat("several faults", "a, b:0, 5")),
        ("what comes out of a placeholder", format!("{}{secret}", http(wat("", "\"${env:HOST}\"")).1)),
        ("a string for a list", format!("{WAT}    wasi: {{network: {{allow: a:80}}}}\n")),
        ("an unknown field", format!("{WAT}    wasi: {{network: {{alow: [a:80]}}}}\n")),
        ("a string for a mapping", format!("{WAT}    wasi: {{network: all}}\n")),
        wat("allowed and not granted", "a:80"),
        ("granted and nothing allowed", format!("{WAT}    imports: [wasi:io, wasi:http]\n")),
        (
            "granted and an empty list",
            format!("{WAT}    imports: [wasi:sockets]\n    wasi: {{network: {{allow: []}}}}\n"),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_directories_files_and_hashes() {
    let digits = "ab".repeat(32);
    let root = Root::new();
    let wasm = |name: &str, fs: &str, path: &str, hash: &str| {
        format!("  - {{name: {name}, kind: function.wasm, fs: {fs}, path: '{path}', hash: '{hash}', method: f}}\n")
    };
    let good = format!("sha256:{digits}");
    let mut index = "entries:\n  - {name: bin, kind: fs.directory, directory: ./wasm}\n".to_owned();
    for (number, (fs, path, hash)) in [
        ("bin", "/f.wasm", "sha256:..."),
        ("bin", "/f.wasm", digits.as_str()),
        ("bin", "/f.wasm", &format!("md5:{digits}")),
        ("bin", "/f.wasm", &good[..40]),
        ("bin", "/f.wasm", &good.replace("ab", "gb")),
        ("bin", "/missing.wasm", &good),
        ("bin", "/../f.wasm", &good),
        ("bin", "/", &good),
        ("bin", "/escape.wasm", &good),
        ("bni", "/f.wasm", &good),
        ("other:bin", "/f.wasm", &good),
        ("f0", "/f.wasm", &good),
        ("no such id", "/f.wasm", &good),
        ("gone", "/f.wasm", &good),
    ]
    .into_iter()
    .enumerate()
    {
        index.push_str(&wasm(&format!("f{number}"), fs, path, hash));
    }
    index.push_str("  - {name: gone, kind: fs.directory, directory: ./gone}\n");
    index.push_str("  - {name: file, kind: fs.directory, directory: ./_index.yaml, auto_init: true, mode: rwx}\n");
    for source in
        ["file://missing.wat", "file:///etc/passwd", "file://../../outside.wat", "file://escape.wat", "file://wasm"]
    {
        let name = source.replace([':', '/', '.'], "");
        index.push_str(&format!("  - {{name: {name}, kind: function.wat, source: '{source}', method: f}}\n"));
    }
    root.write("_index.yaml", index);
    root.write("wasm/f.wasm", "\0asm");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("wasm/escape.wasm")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("escape.wat")).unwrap();
    }
    let text = root.rendered();
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_variables_and_storages() {
    let storages = "  - {name: s, kind: env.storage.static, values: {A: secret-value}}\n";
    let entries = |name, more: &str| entries(name, &format!("{storages}{more}"));
    let text = report(&[
        entries("no storage", "  - {name: a, kind: env.variable}\n"),
        entries("a storage of the wrong kind", "  - {name: a, kind: env.variable, storage: a}\n"),
        entries(
            "two with one public name",
            "  - {name: a, kind: env.variable, variable: X, storage: s}\n  - {name: b, kind: env.variable, variable: X, storage: s}\n",
        ),
        entries("a public name that is none", "  - {name: a, kind: env.variable, variable: 'A=B', storage: s}\n"),
        entries("a list as a static value", "  - {name: t, kind: env.storage.static, values: {B: [1]}}\n"),
        entries("an empty router", "  - {name: r, kind: env.storage.router, storages: []}\n"),
        entries(
            "routers in a circle",
            "  - {name: q, kind: env.storage.router, storages: [s, r]}\n  - {name: r, kind: env.storage.router, storages: [q]}\n",
        ),
        entries("a missing .env file", "  - {name: t, kind: env.storage.file, file_path: .env}\n"),
        entries("a folder as a .env file", "  - {name: t, kind: env.storage.file, file_path: .}\n"),
        entries(
            "a bad file mode",
            "  - {name: t, kind: env.storage.file, file_path: .env, auto_create: true, file_mode: \"0999\"}\n",
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_placeholders() {
    let base = "  - {name: s, kind: env.storage.static, values: {SECRET: hunter2, dir: hunter2-dir}}
  - {name: secret, kind: env.variable, variable: SECRET, storage: s}
  - {name: dir, kind: env.variable, storage: s}
  - {name: empty, kind: env.variable, storage: s}
";
    let entries = |name, more: &str| entries(name, &format!("{base}{more}"));
    let wat = |name, method: &str| {
        entries(name, &format!("  - {{name: f, kind: function.wat, source: (module), method: '{method}'}}\n"))
    };
    let text = report(&[
        wat("no such variable", "${env:SECRTE}"),
        wat("a variable of the process", "${env:PATH}"),
        wat("no value", "${env:empty}"),
        wat("an entry that is no variable", "${env:myns:s}"),
        wat("not closed", "${env:SECRET"),
        wat("no name", "${env:}"),
        wat("misspelt", "a${ENV:SECRET}"),
        entries(
            "in a block",
            "  - name: f\n    kind: function.wat\n    method: f\n    source: |\n      (module\n        ${env:nope})\n",
        ),
        entries("a hidden directory", "  - {name: d, kind: fs.directory, directory: './${env:dir}'}\n"),
        entries(
            "a hidden hash and path",
            "  - {name: d, kind: fs.directory, directory: .}\n  - {name: f, kind: function.wasm, fs: d, path: '${env:SECRET}', hash: 'sha256:${env:SECRET}', method: f}\n",
        ),
        entries(
            "hidden words",
            "  - {name: f, kind: function.wat, source: (module), method: f, pool: {type: '${env:SECRET}', idle_timeout: '${env:SECRET}'}, imports: ['${env:SECRET}'], wasi: {cwd: '${env:SECRET}', args: '${env:SECRET}', env: [{id: '${env:SECRET}'}]}}\n",
        ),
        entries(
            "a hidden number",
            "  - {name: f, kind: function.wat, source: (module), method: f, pool: {max_size: '${env:SECRET}'}}\n",
        ),
        entries(
            "variables in a circle",
            "  - {name: x, kind: env.variable, variable: X, storage: s, default: '${env:Y}'}\n  - {name: y, kind: env.variable, variable: Y, storage: s, default: '${env:X}'}\n",
        ),
        entries(
            "a storage that needs itself",
            "  - {name: t, kind: env.storage.static, values: {A: '${env:Z}'}}\n  - {name: z, kind: env.variable, variable: Z, storage: t}\n",
        ),
    ]);
    // The line that defines the value is the file's own; no message repeats it.
    assert!(!text.replace("values: {SECRET: hunter2, dir: hunter2-dir}", "").contains("hunter2"));
    insta::assert_snapshot!(text);
}

#[test]
fn ambiguous_names_ask_for_an_id() {
    let root = Root::with("entries:\n  - {name: f, kind: function.wat, source: '${env:key}', method: f}\n");
    for folder in ["a", "b"] {
        root.write(
            &format!("{folder}/_index.yaml"),
            "entries:\n  - {name: s, kind: env.storage.memory}\n  - {name: key, kind: env.variable, storage: s, default: x}\n",
        );
    }
    let text = root.rendered();
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_servers() {
    let service = |fields: &str| "  - {name: s, kind: http.service, FIELDS}\n".replace("FIELDS", fields);
    let case = |name: &'static str, fields: &str| entries(name, &service(fields));
    let two = "  - {name: a, kind: http.service, addr: ':1'}\n  - {name: b, kind: http.service, addr: ':1'}\n";
    let text = report(&[
        case("an address without a port", "addr: localhost"),
        case("a port alone", "addr: 8080"),
        case("a URL for an address", "addr: 'http://localhost:80'"),
        case("an address of IPv6 without brackets", "addr: '::1:80'"),
        case("a misspelt timeout", "timeouts: {raed: 5s}"),
        case("a timeout of nothing", "timeouts: {read: 0}"),
        case("automatic certificates", "tls: {mode: auto}"),
        case("an unknown mode", "tls: {mode: manaul, cert: a, key: b}"),
        case("no key", "tls: {cert: x}"),
        case("a certificate that is no PEM", "tls: {cert: cert.pem, key: key.pem}"),
        case("a certificate that is not there", "tls: {cert: 'file://cert.pem', key: 'file:///etc/key.pem'}"),
        case("a certificate outside of the registry", "tls: {cert: 'file://../cert.pem', key: 'file://../../key.pem'}"),
        case("clients that nobody signs", "tls: {cert: x, key: y, client_auth: required}"),
        case("a signer that nobody asks for", "tls: {cert: x, key: y, client_ca: z}"),
        case("an unknown demand on clients", "tls: {cert: x, key: y, client_auth: require}"),
        case("a misspelt lifecycle", "lifecycle: {autostart: false}"),
        case("a server that does not start", "lifecycle: {auto_start: false, stop_timeout: 5s}"),
        entries("two servers at one address", two),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_keys() {
    let pem = |body: &str, what: &str| format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n");
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let mut out = String::new();
    for (name, cert, key, ca) in [
        ("a key of another certificate", &cert, &other.signing_key.serialize_pem(), &cert),
        ("an encrypted key", &cert, &pem("AAAA", "ENCRYPTED PRIVATE KEY"), &cert),
        ("a certificate for a key", &cert, &cert, &cert),
        ("a key for a certificate", &key, &key, &cert),
        ("a key that is none", &cert, &pem("AAAA", "PRIVATE KEY"), &cert),
        ("a certificate that is none", &pem("AAAA", "CERTIFICATE"), &key, &cert),
        ("a signer that is none", &cert, &key, &pem("AAAA", "CERTIFICATE")),
        ("a certificate without an end", &cert[..40].to_owned(), &key, &cert),
    ] {
        let root = Root::with(
            "entries:
  - name: s
    kind: http.service
    tls:
      cert: file://cert.pem
      key: file://key.pem
      client_ca: file://ca.pem
      client_auth: optional
",
        );
        root.write("cert.pem", cert);
        root.write("key.pem", key);
        root.write("ca.pem", ca);
        writeln!(out, "======== {name}\n{}", root.rendered()).unwrap();
    }
    let text = out;
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_routers() {
    let case = |name: &'static str, fields: &str| {
        entries(name, &"  - {name: r, kind: http.router, FIELDS}\n".replace("FIELDS", fields))
    };
    let cors = |name: &'static str, options: &str| {
        case(name, &format!("middleware: [real_ip, cors, ratelimit, compress], options: {{{options}}}"))
    };
    let services = "  - {name: a, kind: http.service, addr: ':1'}\n  - {name: b, kind: http.service, addr: ':2'}\n";
    let text = report(&[
        case("a prefix without a slash", "prefix: api"),
        case("a prefix with a parameter", "prefix: '/{tenant}'"),
        case("a server that is not there", "meta: {server: nope}"),
        case("a router for a server", "meta: {server: r}"),
        case("a misspelt middleware", "middleware: [cor]"),
        case("a middleware twice", "middleware: [cors, compress, cors]"),
        case("an option of a middleware that is not listed", "middleware: [compress], options: {cors.max.age: 5}"),
        cors("a misspelt option", "cors.alow.origins: '*'"),
        cors("credentials for everybody", "cors.allow.credentials: true"),
        cors(
            "credentials with all headers",
            "cors.allow.origins: 'https://a.b', cors.allow.headers: '*', cors.allow.credentials: true",
        ),
        cors("an origin with a path", "cors.allow.origins: 'https://a.b, https://a.b/'"),
        cors("an origin with a wildcard", "cors.allow.origins: ['https://*.a.b', 5]"),
        cors("a header that is none", "cors.allow.headers: 'X A'"),
        cors("a level that is none", "compress.level: fast"),
        cors("a length out of bounds", "compress.min.length: 65536"),
        cors("a limit of nothing", "ratelimit.requests: 0, ratelimit.window: 0s"),
        cors("two windows", "ratelimit.window: 1s, ratelimit.interval: 1s"),
        cors("a key that is none", "ratelimit.key: 'heder:X'"),
        cors("a network that is none", "real_ip.trusted.subnets: '10.0.0.0/8, localhost'"),
        entries("several servers", &format!("{services}  - {{name: r, kind: http.router}}\n")),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_endpoints() {
    let case = |name: &'static str, method: &str, path: &str| {
        let endpoint = format!("  - {{name: e, kind: http.endpoint, method: {method}, path: {path}, func: f}}\n");
        wat(name, &endpoint)
    };
    let endpoint = |name: &str, path: &str, more: &str| {
        format!("  - {{name: {name}, kind: http.endpoint, method: GET, path: '{path}', func: f{more}}}\n")
    };
    let services = "  - {name: s, kind: http.service, addr: ':1'}\n  - {name: t, kind: http.service, addr: ':2'}\n";
    let routers = "  - {name: a, kind: http.router}\n  - {name: b, kind: http.router, prefix: /b}\n";
    let text = report(&[
        case("several methods", "'GET, POST'", "/"),
        case("a path without a slash", "GET", "api/greet"),
        case("a parameter that is not closed", "GET", "'/users/{id'"),
        case("two parameters of one name", "GET", "'/{id}/{id}'"),
        case("two parameters in a segment", "GET", "'/{a}{b}'"),
        case("a rest that is not last", "GET", "'/{rest...}/x'"),
        case("a query in a path", "GET", "'/a?b={c}'"),
        wat("a function that is not there", "  - {name: e, kind: http.endpoint, method: GET, path: /, func: g}\n"),
        wat("two with the same path", &(endpoint("a", "/x/{id}", "") + &endpoint("b", "/x/{name}", ""))),
        wat("two paths that overlap", &(endpoint("a", "/x/{id}", "") + &endpoint("b", "/x/{rest...}", ""))),
        wat("several routers", &format!("{routers}{}", endpoint("e", "/", ""))),
        wat("a router that is not there", &format!("{routers}{}", endpoint("e", "/", ", meta: {router: c}"))),
        wat("several servers and no router", &format!("{services}{}", endpoint("e", "/", ""))),
        wat("a server for a router", &format!("{services}{}", endpoint("e", "/", ", meta: {router: s}"))),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn faults_of_static_files() {
    let case = |name: &'static str, fields: &str| {
        let entry = format!("  - {{name: w, kind: http.static, path: /w, fs: d, {fields}}}\n");
        entries(name, &format!("  - {{name: d, kind: fs.directory, directory: .}}\n{entry}"))
    };
    let two = "  - {name: d, kind: fs.directory, directory: .}
  - {name: v, kind: http.static, path: /w, fs: d}
  - {name: w, kind: http.static, path: /w/, fs: d}\n";
    let text = report(&[
        entries("nothing but a path", "  - {name: w, kind: http.static, path: /w}\n"),
        case("a folder that is not there", "directory: dist"),
        case("a folder that is a file", "directory: _index.yaml"),
        case("a folder outside", "directory: ../x"),
        case("a path for an index", "static_options: {index: a/b.html}"),
        case("an index that is true", "static_options: {index: true}"),
        case("an application without an index", "static_options: {index: false, spa: true}"),
        case("a misspelt option", "static_options: {cach: no-store}"),
        case("a cache that no header holds", "static_options: {cache: \"a\\nb\"}"),
        entries("two at one path", two),
    ]);
    insta::assert_snapshot!(text);
}
