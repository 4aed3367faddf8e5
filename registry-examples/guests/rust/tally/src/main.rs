//! A command that uses what a terminal gives: arguments, environment, standard streams, files and the exit code.
//!
//! ```text
//! tally count [FILE…]      lines, words and bytes of each file, or of standard input
//! tally unique [FILE…]     their lines, sorted, each once
//! tally env NAME           an environment variable; status 3 when there is none
//! tally exit STATUS        ends with this status
//! ```
//!
//! A file that cannot be read gives a line on standard error and, at the end, status 1. A wrong command line gives
//! status 2. `TALLY_UNIT`, which may be `lines`, `words` or `bytes`, makes `count` print that alone.

#[cfg(target_os = "wasi")]
use std::{
    alloc::{self, Layout},
    process, ptr,
};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufWriter, Read as _, Write as _},
    process::ExitCode,
};

/// With this the adapter for preview 1, which makes a component of the program, asks for its memory.
///
/// Without it the adapter grows the memory before the program starts, and the C library of Debian 12 (2022) takes all
/// memory that it finds when it first allocates for its heap, the adapter's included.
///
/// # Safety
/// As of `realloc`: `old` is null, or came from here with this size and alignment.
#[cfg(target_os = "wasi")]
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(old_size.max(1), align) else { process::abort() };
    let new = if old.is_null() || old_size == 0 {
        // SAFETY: the size is at least 1.
        Layout::from_size_align(size.max(1), align).map_or(ptr::null_mut(), |layout| unsafe { alloc::alloc(layout) })
    } else {
        // SAFETY: the caller's promise.
        unsafe { alloc::realloc(old, layout, size.max(1)) }
    };
    if new.is_null() { process::abort() } else { new }
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match (command.as_str(), rest.as_slice()) {
        ("count", files) => inputs(files, count),
        ("unique", files) => {
            let mut lines = BTreeSet::new();
            let done = inputs(files, |_, text| {
                lines.extend(text.lines().map(str::to_owned));
                Ok(())
            });
            print(lines.iter().map(|line| format!("{line}\n"))).and(done)
        }
        ("env", [name]) => match env::var(name) {
            Ok(value) => print([format!("{value}\n")]),
            Err(_) => return ExitCode::from(3),
        },
        ("exit", [status]) => match status.parse::<u8>() {
            Ok(status) => return ExitCode::from(status),
            Err(error) => return usage(&format!("`{status}` is no status: {error}")),
        },
        ("", _) => return usage("a command is missing"),
        (other, _) => return usage(&format!("`{other}` is no command, or has other arguments")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tally: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("tally: {problem}; there are count [FILE…], unique [FILE…], env NAME and exit STATUS");
    ExitCode::from(2)
}

/// Hands each input to `take`, and goes on after one that cannot be read.
fn inputs(files: &[String], mut take: impl FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    if files.is_empty() {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return take("", &text);
    }
    let mut unread = 0;
    for file in files {
        match fs::read_to_string(file) {
            Ok(text) => take(file, &text)?,
            Err(error) => {
                eprintln!("tally: {file}: {error}");
                unread += 1;
            }
        }
    }
    if unread == 0 { Ok(()) } else { Err(io::Error::other(format!("{unread} of {} not read", files.len()))) }
}

fn count(file: &str, text: &str) -> io::Result<()> {
    let (lines, words, bytes) = (text.lines().count(), text.split_whitespace().count(), text.len());
    let counts = match env::var("TALLY_UNIT").as_deref() {
        Ok("lines") => lines.to_string(),
        Ok("words") => words.to_string(),
        Ok("bytes") => bytes.to_string(),
        _ => format!("{lines} {words} {bytes}"),
    };
    let name = if file.is_empty() { String::new() } else { format!(" {file}") };
    print([format!("{counts}{name}\n")])
}

fn print(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    lines.into_iter().try_for_each(|line| out.write_all(line.as_bytes()))?;
    out.flush()
}
