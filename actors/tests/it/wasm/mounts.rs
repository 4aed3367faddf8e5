//! Mounts: what a guest may do below them, by WASI's own functions and by C's library.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use greenroom_actors::{
    ErrorKind,
    executor::{Executor, Instance},
    spec::{Capability, Mount},
};
use serde_json::json;

use super::{fixture::*, prober::*};

/// A folder with a read-only mount at `/ro`, a writable one at `/rw`, and what neither may show.
struct Host(tempfile::TempDir);

/// Everything of an entry that a change would change: what is in it, when it was changed, its links.
type Entry = (Vec<u8>, i64, i64, u64);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for mount in ["ro", "rw"] {
            fs::create_dir_all(host.path(&format!("{mount}/full"))).unwrap();
            fs::create_dir(host.path(&format!("{mount}/empty"))).unwrap();
            fs::write(host.path(&format!("{mount}/file")), "original").unwrap();
            fs::write(host.path(&format!("{mount}/full/inner")), "inner").unwrap();
            symlink("file", host.path(&format!("{mount}/link"))).unwrap();
        }
        fs::write(host.path("secret"), "secret").unwrap();
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn mounts(&self) -> [Mount; 2] {
        [mount(&self.path("ro"), "/ro", true), mount(&self.path("rw"), "/rw", false)]
    }

    fn below(&self, path: &str) -> BTreeMap<PathBuf, Entry> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path(path)];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            for path in entries.chain([folder.clone()]) {
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() && path != folder {
                    folders.push(path);
                    continue;
                }
                let content = match () {
                    () if metadata.is_dir() => Vec::new(),
                    () if metadata.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                    () => fs::read(&path).unwrap(),
                };
                found.insert(path, (content, metadata.mtime(), metadata.mtime_nsec(), metadata.nlink()));
            }
        }
        found
    }
}

const NONE: (&str, &str) = ("/ro", "");

#[test]
fn what_is_mounted_read_only_can_be_read_and_in_no_way_changed() {
    let host = Host::new();
    let before = host.below("ro");
    let guest = &mut with_mounts("file", &host.mounts());
    assert_eq!(file(guest, "read", ("/ro", "file"), NONE).unwrap(), "original");
    assert_eq!(file(guest, "read", ("/ro", "link"), NONE).unwrap(), "original");
    assert_eq!(file(guest, "readlink", ("/ro", "link"), NONE).unwrap(), "file");
    assert_eq!(file(guest, "stat", ("/ro", "full/inner"), NONE).unwrap(), "5");
    let changes = [
        ("write", "file"),
        ("stream", "file"),
        ("append", "file"),
        ("set-size", "file"),
        ("truncate", "file"),
        ("create", "new"),
        ("create", "file"),
        ("create-new", "new"),
        ("create", "full/new"),
        ("mkdir", "new"),
        ("rmdir", "empty"),
        ("unlink", "file"),
        ("unlink", "link"),
        ("unlink", "full/inner"),
        ("set-times", "file"),
        ("set-times-at", "file"),
        ("set-times-at", "link"),
        // Through a descriptor that was opened to read.
        ("write-through-reader", "file"),
        ("stream-through-reader", "file"),
        ("append-through-reader", "file"),
        ("set-size-through-reader", "file"),
        ("set-times-through-reader", "file"),
        ("set-times-through-reader", "full"),
    ];
    for (what, path) in changes {
        let refused = file(guest, what, ("/ro", path), NONE).unwrap_err();
        assert_eq!(refused, "not-permitted", "{what} {path}");
    }
    for (what, from, to) in [
        ("rename", ("/ro", "file"), ("/ro", "new")),
        ("rename", ("/ro", "file"), ("/rw", "new")),
        ("rename", ("/rw", "file"), ("/ro", "new")),
        ("rename", ("/rw", "file"), ("/ro", "file")),
        ("rename", ("/ro", "empty"), ("/rw", "new")),
        ("link", ("/ro", "file"), ("/ro", "new")),
        ("link", ("/ro", "file"), ("/rw", "new")),
        ("link", ("/rw", "file"), ("/ro", "new")),
        ("symlink", ("/ro", "new"), ("/ro", "file")),
    ] {
        assert_eq!(file(guest, what, from, to).unwrap_err(), "not-permitted", "{what} {from:?} {to:?}");
    }
    assert_eq!(host.below("ro"), before);
}

#[test]
fn c_s_library_changes_nothing_of_a_read_only_mount_either() {
    let host = Host::new();
    let before = host.below("ro");
    let guest = &mut with_mounts("c-file", &host.mounts());
    assert_eq!(c_file(guest, "read", "/ro/link", "").unwrap(), "original");
    assert_eq!(c_file(guest, "list", "/ro", "").unwrap(), "6");
    for (what, from, to) in [
        ("write", "/ro/file", ""),
        ("append", "/ro/file", ""),
        ("create", "/ro/new", ""),
        ("truncate", "/ro/file", ""),
        ("set-size", "/ro/file", ""),
        ("unlink", "/ro/file", ""),
        ("rmdir", "/ro/empty", ""),
        ("mkdir", "/ro/new", ""),
        ("set-times", "/ro/file", ""),
        ("set-times-at", "/ro/file", ""),
        ("rename", "/ro/file", "/ro/new"),
        ("rename", "/ro/file", "/rw/new"),
        ("rename", "/rw/file", "/ro/new"),
        ("link", "/ro/file", "/rw/new"),
        ("link", "/rw/file", "/ro/new"),
        ("symlink", "/ro/new", "file"),
    ] {
        assert_eq!(c_file(guest, what, from, to).unwrap_err(), "Operation not permitted", "{what} {from} {to}");
    }
    assert_eq!(host.below("ro"), before);
}

#[test]
fn what_is_mounted_writable_can_be_changed_in_every_way() {
    let host = Host::new();
    let guest = &mut with_mounts("file", &host.mounts());
    let read = |path: &str| fs::read_to_string(host.path(path)).unwrap();
    let mut change = |what: &str, path: &str, to: &str| {
        file(guest, what, ("/rw", path), ("/rw", to)).unwrap_or_else(|error| panic!("{what} {path}: {error}"));
    };
    change("append", "file", "");
    assert_eq!(read("rw/file"), "originalwritten");
    change("write", "file", "");
    assert_eq!(read("rw/file"), "writtenlwritten");
    change("set-size", "file", "");
    assert_eq!(read("rw/file"), "w");
    change("stream", "file", "");
    assert_eq!(read("rw/file"), "written");
    change("truncate", "file", "");
    assert_eq!(read("rw/file"), "");
    change("set-times", "full/inner", "");
    assert_eq!(fs::metadata(host.path("rw/full/inner")).unwrap().mtime(), 1_000_000);
    change("set-times-at", "file", "");
    assert_eq!(fs::metadata(host.path("rw/file")).unwrap().mtime(), 1_000_000);
    change("create-new", "new", "");
    change("create", "new", "");
    change("mkdir", "made", "");
    change("rename", "new", "made/renamed");
    assert!(host.path("rw/made/renamed").exists());
    change("link", "file", "linked");
    assert_eq!(fs::metadata(host.path("rw/linked")).unwrap().nlink(), 2);
    change("symlink", "points", "full/inner");
    change("unlink", "linked", "");
    change("rmdir", "empty", "");
    assert_eq!(file(guest, "read", ("/rw", "points"), NONE).unwrap(), "inner");
    assert_eq!(file(guest, "create-new", ("/rw", "file"), NONE).unwrap_err(), "exist");
    assert_eq!(file(guest, "rmdir", ("/rw", "full"), NONE).unwrap_err(), "not-empty");

    let c = &mut with_mounts("c-file", &host.mounts());
    for (what, from, to) in [
        ("create", "/rw/by-c", ""),
        ("append", "/rw/by-c", ""),
        ("rename", "/rw/by-c", "/rw/full/by-c"),
        ("link", "/rw/full/by-c", "/rw/linked-by-c"),
        ("set-times-at", "/rw/full/by-c", ""),
    ] {
        c_file(c, what, from, to).unwrap_or_else(|error| panic!("{what} {from}: {error}"));
    }
    assert_eq!(read("rw/linked-by-c"), "writtenwritten");
}

#[test]
fn no_path_leads_out_of_a_mount() {
    let host = Host::new();
    let inside = host.path("rw");
    let absolute = host.path("secret");
    symlink("../secret", inside.join("up")).unwrap();
    symlink(&absolute, inside.join("absolute")).unwrap();
    symlink("up", inside.join("chain")).unwrap();
    symlink("chain", inside.join("full/../longer")).unwrap();
    symlink("full/../../secret", inside.join("winding")).unwrap();
    symlink("..", inside.join("full/parent")).unwrap();
    symlink("..", inside.join("outside")).unwrap();
    symlink("/", inside.join("root")).unwrap();
    symlink("/proc/self/root", inside.join("proc")).unwrap();
    let secret = absolute.to_str().unwrap();
    let guest = &mut with_mounts("file", &host.mounts());
    let before = host.below("");
    let paths = [
        "../secret".to_owned(),
        "./../secret".to_owned(),
        "full/../../secret".to_owned(),
        "../rw/../secret".to_owned(),
        "..".to_owned(),
        "../".to_owned(),
        "../ro/file".to_owned(),
        "full/parent/../secret".to_owned(),
        secret.to_owned(),
        format!("/{secret}"),
        "/proc/self/root/etc/passwd".to_owned(),
        "up".to_owned(),
        "absolute".to_owned(),
        "chain".to_owned(),
        "longer".to_owned(),
        "winding".to_owned(),
        "outside/secret".to_owned(),
        format!("root{secret}"),
        "proc/etc/passwd".to_owned(),
    ];
    for path in &paths {
        for what in ["read", "stat", "write", "create", "truncate", "append"] {
            let refused = file(guest, what, ("/rw", path), NONE).unwrap_err();
            // Whether it is there makes no difference to a guest.
            assert_eq!(refused, "not-permitted", "{what} {path}");
        }
    }
    for path in ["../new", "full/../../new", "outside/new", "/tmp/new", "root/new"] {
        for (what, to) in [("mkdir", NONE), ("symlink", ("/rw", "file")), ("create-new", NONE)] {
            assert_eq!(file(guest, what, ("/rw", path), to).unwrap_err(), "not-permitted", "{what} {path}");
        }
        for what in ["rename", "link"] {
            assert_eq!(
                file(guest, what, ("/rw", "file"), ("/rw", path)).unwrap_err(),
                "not-permitted",
                "{what} {path}"
            );
        }
    }
    for path in ["../secret", "outside/secret"] {
        for what in ["unlink", "rmdir", "set-times-at", "rename", "link", "readlink"] {
            assert_eq!(file(guest, what, ("/rw", path), ("/rw", "new")).unwrap_err(), "not-permitted", "{what} {path}");
        }
    }
    // A link that is linked or moved is the link, not what it points to.
    assert_eq!(file(guest, "symlink", ("/rw", "made"), ("/rw", secret)).unwrap_err(), "not-permitted");
    assert_eq!(host.below(""), before);
    // Where `..` stays within, it is a way like any other.
    assert_eq!(file(guest, "read", ("/rw", "full/parent/file"), NONE).unwrap(), "original");
    assert_eq!(file(guest, "read", ("/rw", "full/../file"), NONE).unwrap(), "original");

    let c = &mut with_mounts("c-file", &host.mounts());
    for path in ["/rw/../secret", "/rw/up", "/rw/absolute", "/rw/chain", secret, "/rw/root/etc/passwd", "../secret"] {
        assert!(c_file(c, "read", path, "").is_err(), "{path}");
    }
    assert_eq!(c_file(c, "read", "/rw/full/../file", "").unwrap(), "original");
}

#[test]
fn odd_paths_are_errors_of_the_guest() {
    let host = Host::new();
    symlink("round", host.path("rw/round")).unwrap();
    symlink("b", host.path("rw/a")).unwrap();
    symlink("a", host.path("rw/b")).unwrap();
    let guest = &mut with_mounts("file", &host.mounts());
    let long = "x".repeat(300);
    let deep = "d/".repeat(100_000);
    let huge = "x".repeat(1 << 20);
    for (path, error) in [
        ("", "no-entry"),
        ("file/", "not-directory"),
        ("file/x", "not-directory"),
        ("missing/x", "no-entry"),
        ("round", "loop"),
        ("a", "loop"),
        ("nul\0byte", "invalid"),
        (long.as_str(), "name-too-long"),
        (deep.as_str(), "name-too-long"),
        (huge.as_str(), "name-too-long"),
    ] {
        let shown: String = path.chars().take(20).collect();
        assert_eq!(file(guest, "read", ("/rw", path), NONE).unwrap_err(), error, "{shown:?}");
        assert!(file(guest, "mkdir", ("/rw", path), NONE).is_err(), "{shown:?}");
    }
    assert_eq!(file(guest, "read", ("/rw", ".//./file"), NONE).unwrap(), "original");
    assert_eq!(file(guest, "read", ("/rw", "full/"), NONE).unwrap_err(), "bad-descriptor");
}

#[test]
fn a_link_that_is_swapped_while_it_is_followed_leads_out_at_no_time() {
    let host = Host::new();
    let inside = host.path("rw");
    let link = inside.join("swapped");
    symlink("file", &link).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for target in ["../secret", "file"] {
                    let next = inside.join("next");
                    symlink(target, &next).unwrap();
                    fs::rename(&next, &link).unwrap();
                }
            }
        });
        let guest = &mut with_mounts("file", &host.mounts());
        for _ in 0..300 {
            match file(guest, "read", ("/rw", "swapped"), NONE) {
                Ok(read) => assert_eq!(read, "original"),
                Err(error) => assert!(["not-permitted", "no-entry"].contains(&error.as_str()), "{error}"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_mount_within_a_mount_keeps_its_own_rules() {
    let host = Host::new();
    fs::create_dir(host.path("rw/within")).unwrap();
    fs::write(host.path("rw/within/file"), "within").unwrap();
    // The same folder, read-only under a path of its own and under one below the writable mount.
    let mounts = [
        mount(&host.path("rw"), "/rw", false),
        mount(&host.path("ro"), "/rw/within", true),
        mount(&host.path("rw/within"), "/alone", true),
    ];
    let guest = &mut with_mounts("c-file", &mounts);
    assert_eq!(c_file(guest, "read", "/rw/within/file", "").unwrap(), "original");
    assert_eq!(c_file(guest, "read", "/alone/file", "").unwrap(), "within");
    for path in ["/rw/within/file", "/alone/file"] {
        assert_eq!(c_file(guest, "write", path, "").unwrap_err(), "Operation not permitted", "{path}");
    }
    assert_eq!(fs::read_to_string(host.path("rw/within/file")).unwrap(), "within");
}

#[test]
fn two_functions_share_a_mount_and_many_may_write_at_once() {
    let host = Host::new();
    let place = host.path("rw");
    let shared = [mount(&place, "/data", false)];
    let writer = &mut with_mounts("c-file", &shared);
    let reader = &mut with_mounts("c-file", &[mount(&place, "/elsewhere", true)]);
    c_file(writer, "create", "/data/message", "").unwrap();
    assert_eq!(c_file(reader, "read", "/elsewhere/message", "").unwrap(), "written");
    assert_eq!(c_file(reader, "write", "/elsewhere/message", "").unwrap_err(), "Operation not permitted");

    let function = prepared(&sees("c-file", &shared));
    block_on(async {
        let append = async || {
            let mut instance = function.function.make().await.unwrap();
            for _ in 0..10 {
                run(&function, &mut instance, json!(["append", "/data/message", ""])).await.unwrap();
            }
        };
        futures::future::join_all((0..8).map(|_| append())).await;
    });
    assert_eq!(fs::read_to_string(place.join("message")).unwrap(), "written".repeat(81));
}

#[test]
fn a_mount_that_goes_is_an_error_and_one_that_comes_back_is_used() {
    let host = Host::new();
    let (function, mut instance) = with_mounts("c-file", &[mount(&host.path("rw"), "/data", false)]);
    let read = |instance: &mut Box<dyn Instance>| block_on(run(&function, instance, json!(["read", "/data/file", ""])));
    assert_eq!(read(&mut instance).unwrap(), json!({"ok": "original"}));

    fs::rename(host.path("rw"), host.path("away")).unwrap();
    for error in [read(&mut instance).unwrap_err(), block_on(function.function.make()).err().unwrap()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let place = host.path("rw").display().to_string();
        let expected = format!("the mount `/data` of `app:f` cannot be opened: {place}: No such file or directory");
        assert!(error.message().starts_with(&expected), "{error}");
    }

    fs::create_dir(host.path("rw")).unwrap();
    fs::write(host.path("rw/file"), "another").unwrap();
    let error = read(&mut instance).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.message(),
        "the directory of the mount `/data` of `app:f` was replaced by another; call again to use it"
    );
    let mut instance = block_on(function.function.make()).unwrap();
    assert_eq!(read(&mut instance).unwrap(), json!({"ok": "another"}));
}

#[cfg(target_os = "linux")]
#[test]
fn instances_share_the_directories_of_their_mounts() {
    let host = Host::new();
    let function = prepared(&sees("c-file", &host.mounts()));
    let open = |path: &Path| {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        links.filter(|link| link == path).count()
    };
    let instances: Vec<_> = (0..20).map(|_| block_on(function.function.make()).unwrap()).collect();
    assert_eq!(open(&host.path("ro").canonicalize().unwrap()), 1);
    drop(instances);
}

#[test]
fn a_named_pipe_in_a_mount_is_refused_and_nobody_waits_for_it() {
    let host = Host::new();
    let made = std::process::Command::new("mkfifo").arg(host.path("rw/pipe")).status().unwrap();
    assert!(made.success());
    symlink("pipe", host.path("rw/to-pipe")).unwrap();
    let guest = &mut with_mounts("file", &host.mounts());
    for path in ["pipe", "to-pipe"] {
        for what in ["read", "append", "create", "truncate"] {
            assert_eq!(file(guest, what, ("/rw", path), NONE).unwrap_err(), "unsupported", "{what} {path}");
        }
    }
    let c = &mut with_mounts("c-file", &host.mounts());
    assert_eq!(c_file(c, "read", "/rw/pipe", "").unwrap_err(), "Not supported");
}

#[test]
fn mounts_of_an_entry_without_the_grant_are_denied_by_name() {
    let host = Host::new();
    let mut spec = sees("c-file", &host.mounts());
    spec.imports = [Capability::Cli].into_iter().collect();
    let error = call(&prepared(&spec), json!(["read", "/ro/file", ""])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().ends_with("add `imports: [wasi:cli, wasi:filesystem]`"), "{error}");
}
