//! `wasi:sockets`: what a guest reaches of what its entry lists, and what it is refused.

use greenroom_actors::{
    ErrorKind,
    executor::Executor,
    spec::{Capability, WasmSpec},
    wasm::SOCKETS_MAX,
};
use serde_json::{Value, json};

use super::{fixture::*, log::Log, reach::*};

const GRANTED: &[Capability] = &[Capability::Sockets];

fn net(method: &str, patterns: &[String]) -> WasmSpec {
    guest("net.wasm", method, GRANTED, patterns)
}

fn names() -> Names {
    Names::default()
        .with("localhost", &[&["127.0.0.1"]])
        .with("db.test", &[&["127.0.0.1"]])
        .with("xn--bcher-kva.test", &[&["127.0.0.1"]])
        .with("mixed.test", &[&["10.0.0.5", "8.8.8.8", "127.0.0.1", "2606:4700::1111", "::ffff:169.254.169.254"]])
}

fn refused(code: &str) -> Value {
    json!({ "err": code })
}

#[test]
fn a_socket_reaches_what_is_listed_and_nothing_else() {
    let port = tcp_shouter();
    let (below, above) = (port - 1, port + 1);
    let reached = json!({ "ok": "HELLO" });
    let denied = refused("access-denied");
    for (patterns, host, expected) in [
        (vec![], "127.0.0.1", &denied),
        (vec!["127.0.0.1:PORT".to_owned()], "127.0.0.1", &reached),
        (vec![format!("127.0.0.1:{above}")], "127.0.0.1", &denied),
        (vec![format!("127.0.0.1:{below}-{above}")], "127.0.0.1", &reached),
        (vec![format!("127.0.0.1:{above}-65535")], "127.0.0.1", &denied),
        (vec!["127.0.0.0/8:*".to_owned()], "127.0.0.1", &reached),
        (vec!["10.0.0.0/8:*".to_owned()], "127.0.0.1", &denied),
        (vec!["localhost:PORT".to_owned()], "127.0.0.1", &reached),
        (vec!["localhost:PORT".to_owned()], "localhost", &reached),
        // Everything, which is everything public.
        (vec!["*:*".to_owned()], "127.0.0.1", &denied),
        (vec!["*:*".to_owned()], "localhost", &denied),
        // A name, and what it resolves to.
        (vec!["db.test:PORT".to_owned()], "db.test", &denied),
        (vec!["db.test:PORT".to_owned(), "127.0.0.1:PORT".to_owned()], "db.test", &reached),
        (vec!["DB.Test:PORT".to_owned(), "127.0.0.1:PORT".to_owned()], "db.test", &reached),
        (vec!["*.test:PORT".to_owned(), "127.0.0.0/8:PORT".to_owned()], "db.test", &reached),
        (vec!["*.db.test:PORT".to_owned(), "127.0.0.0/8:PORT".to_owned()], "db.test", &denied),
        (vec!["*:PORT".to_owned(), "127.0.0.0/8:PORT".to_owned()], "db.test", &reached),
        (vec!["127.0.0.0/8:PORT".to_owned()], "db.test", &denied),
        (vec!["bücher.test:PORT".to_owned(), "localhost:*".to_owned()], "Bücher.test", &reached),
    ] {
        let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.replace("PORT", &port.to_string())).collect();
        let prepared = prepare_with(names().options(), &net("tcp-exchange", &patterns));
        let outcome = call(&prepared, json!([host, port, "hello"])).unwrap();
        assert_eq!(outcome, *expected, "{patterns:?} to {host}");
    }
}

#[test]
fn datagrams_go_and_come_where_they_may() {
    let port = udp_shouter();
    let exchange = |patterns: &[&str], host| {
        let prepared = prepare_with(names().options(), &net("udp-exchange", &allow(patterns, port)));
        call(&prepared, json!([host, port, "hello"])).unwrap()
    };
    assert_eq!(exchange(&["127.0.0.1:PORT"], "127.0.0.1"), json!({ "ok": "HELLO" }));
    assert_eq!(exchange(&["localhost:PORT"], "localhost"), json!({ "ok": "HELLO" }));
    assert_eq!(exchange(&["*:*"], "127.0.0.1"), refused("access-denied"));
    assert_eq!(exchange(&["127.0.0.1:1"], "127.0.0.1"), refused("access-denied"));
}

#[test]
fn a_name_is_looked_up_when_it_is_listed_and_gives_what_may_be_reached() {
    let lookup = |patterns: &[&str], name| {
        let names = names();
        let prepared = prepare_with(names.options(), &net("lookup", &allow(patterns, 80)));
        (call(&prepared, json!([name])).unwrap(), names.asked())
    };
    let asked = |name: &str| vec![name.to_owned()];
    let public = json!({ "ok": ["8.8.8.8", "2606:4700:0:0:0:0:0:1111"] });
    assert_eq!(lookup(&["mixed.test:80"], "mixed.test"), (public, asked("mixed.test")));
    let with_private = json!({ "ok": ["10.0.0.5", "8.8.8.8", "2606:4700:0:0:0:0:0:1111"] });
    assert_eq!(lookup(&["mixed.test:80", "10.0.0.0/8:5432"], "mixed.test").0, with_private);
    assert_eq!(lookup(&["db.test:80"], "db.test").0, refused("access-denied"));
    assert_eq!(lookup(&["nobody.test:80"], "nobody.test"), (refused("name-unresolvable"), asked("nobody.test")));
    // Nobody is asked for a name that is not listed: the question alone would tell something.
    assert_eq!(lookup(&["db.test:80"], "secrets.evil.test"), (refused("access-denied"), vec![]));
    assert_eq!(lookup(&[], "db.test"), (refused("access-denied"), vec![]));
    assert_eq!(lookup(&["*:80"], "no name"), (refused("invalid-argument"), vec![]));
    // An address stands for itself.
    assert_eq!(lookup(&["10.0.0.0/8:80"], "10.1.2.3"), (json!({ "ok": ["10.1.2.3"] }), vec![]));
    assert_eq!(lookup(&["*:80"], "10.1.2.3"), (refused("access-denied"), vec![]));
    assert_eq!(lookup(&["*:80"], "0x7f.1"), (refused("access-denied"), vec![]));
    assert_eq!(lookup(&["*:80"], "8.8.8.8"), (json!({ "ok": ["8.8.8.8"] }), vec![]));
}

#[test]
fn a_function_is_no_server() {
    for port in [0, 8080] {
        let prepared = prepare_with(names().options(), &net("listen", &allow(&["*:*", "0.0.0.0/0:*"], 0)));
        assert_eq!(call(&prepared, json!([port])).unwrap(), refused("access-denied"), "{port}");
    }
}

#[test]
fn an_instance_holds_so_many_sockets_and_no_more() {
    let prepared = prepare_with(names().options(), &net("sockets", &[]));
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        // Those that are dropped give their place back.
        for _ in 0..2 {
            assert_eq!(run(&prepared, &mut instance, json!([1000])).await.unwrap(), json!(SOCKETS_MAX));
        }
    });
}

#[test]
fn the_log_says_what_was_refused_and_what_to_add() {
    let said = |method, patterns: &[&str], args: Value| {
        let log = Log::default();
        let prepared = prepare_with(names().options(), &net(method, &allow(patterns, 5432)));
        // A line that is being logged for the first time, by any test, may miss a subscriber that comes meanwhile.
        call(&prepared, args.clone()).unwrap();
        log.during(|| call(&prepared, args).unwrap());
        log.lines().into_iter().map(|(_, line)| line).collect::<Vec<_>>()
    };
    assert_eq!(
        said("tcp-exchange", &["db.test:5432"], json!(["db.test", 5432, ""])),
        ["`app:f`: db.test resolves to 127.0.0.1, which is loopback; add `127.0.0.1:PORT` to wasi.network.allow"]
    );
    assert_eq!(
        said("tcp-exchange", &[], json!(["10.0.0.5", 5432, ""])),
        ["`app:f`: 10.0.0.5, which is private, is not listed; add `10.0.0.5:5432` to wasi.network.allow"]
    );
    assert_eq!(
        said("lookup", &[], json!(["db.test"])),
        ["`app:f`: db.test is not listed; add `db.test:PORT` to wasi.network.allow"]
    );
    assert_eq!(
        said("listen", &[], json!([8080])),
        ["`app:f`: a socket cannot be bound to 0.0.0.0:8080; only to the unspecified address and port 0",]
    );
    assert_eq!(
        said("listen", &[], json!([0])),
        ["`app:f`: a function cannot listen for connections; it can only make them"]
    );
    assert!(said("tcp-exchange", &["localhost:PORT"], json!(["8.8.8.8", 5432, ""]))[0].contains("8.8.8.8:5432"));
}

#[test]
fn sockets_that_are_not_granted_trap_with_their_import() {
    let mut spec = net("lookup", &allow(&["*:*"], 0));
    spec.imports = [Capability::Http].into_iter().collect();
    let prepared = prepare_with(names().options(), &spec);
    assert_eq!(prepared.warnings[0].notes, ["to grant it, write `imports: [wasi:sockets, wasi:http]`"]);
    let error = call(&prepared, json!(["db.test"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.message(),
        "function `app:f` used `wasi:sockets/instance-network@0.2.6`, which its entry does not grant; add \
         `imports: [wasi:sockets, wasi:http]`"
    );
}
