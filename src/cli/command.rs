//! `greenroom run ROOT NAME`: one process with the terminal's streams, and its exit code as ours; and the list of those
//! that there are.

use std::{
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use comfy_table::{Table, presets};
use greenroom_actors::{
    Process, ProcessOptions,
    spec::{Capability, FunctionId},
    wasm::{Stdin, Stdio, Stdout},
};
use serde::Serialize;

use super::{
    RegistryOptions,
    failure::Failure,
    options::Format,
    output::{harmless, print_json, print_text},
    signals::Signals,
    target::{load, log_warnings},
};
use crate::{
    CallError, ErrorKind, Runtime,
    registry::{self, Command, Registry},
};

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: u8 = 128;

/// One process as the list shows it.
#[derive(Serialize)]
struct Row<'a> {
    /// What `run` calls it: the command's name, else the entry's id.
    name: &'a str,
    about: Option<&'a str>,
    entry: &'a str,
}

/// Prints the commands of a registry, and the processes that are none.
pub(super) async fn list(root: &Path, options: &RegistryOptions, format: Format) -> Result<ExitCode, Failure> {
    let (registry, warnings) = load(root, options).await?;
    log_warnings(&warnings, |entry| registry.processes().iter().any(|process| Some(&process.id) == entry));
    let commands = registry.commands().iter().map(|command| Row {
        name: &command.name,
        about: command.about.as_deref(),
        entry: command.process.as_str(),
    });
    let is_command = |id: &FunctionId| registry.commands().iter().any(|command| command.process == *id);
    let others = registry.processes().iter().filter(|process| !is_command(&process.id));
    let others = others.map(|process| Row { name: process.id.as_str(), about: None, entry: process.id.as_str() });
    let rows: Vec<_> = commands.chain(others).collect();
    match format {
        Format::Json => print_json(&rows),
        Format::Text if rows.is_empty() => {
            print_text("no commands; an entry of kind process.wasm with `meta: {command: NAME}` is one")
        }
        Format::Text => {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING).set_header(["command", "does", "entry"]);
            for row in &rows {
                table.add_row([row.name, row.about.unwrap_or_default(), row.entry].map(harmless));
            }
            let lines = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned());
            print_text(&lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Runs a process to its end.
pub(super) async fn run(
    root: &Path,
    name: &str,
    args: Vec<String>,
    options: &RegistryOptions,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().context("signals cannot be heard")?;
    let started = tokio::select! {
        started = start(root, name, args, options) => started?,
        signal = signals.next() => return Ok(signalled(signal)),
    };
    let (runtime, process) = started;
    let exit = tokio::select! {
        exit = process.exited() => exit,
        signal = signals.next() => {
            process.kill();
            return Ok(signalled(signal));
        }
    };
    // What functions that it called have printed is logged when their instances go.
    runtime.shutdown(std::time::Duration::ZERO).await;
    // A code that no system has is a failure all the same.
    Ok(ExitCode::from(u8::try_from(exit.result?).unwrap_or(1)))
}

async fn start(
    root: &Path,
    name: &str,
    args: Vec<String>,
    options: &RegistryOptions,
) -> Result<(Runtime, Process), Failure> {
    let (registry, warnings) = load(root, options).await?;
    let id = find(&registry, name)?;
    log_warnings(&warnings, |entry| entry == Some(&id));
    let mut builder = Runtime::builder();
    let alone = |process: &crate::spec::ProcessSpec| process.id == id && !process.code.imports.has(Capability::Funcs);
    if registry.processes().iter().any(alone) {
        builder = builder.only([id.as_str()]);
    }
    let runtime = builder.loaded(registry).cache(options.cache()).start().await?;
    let process =
        runtime.spawn(id.as_str(), ProcessOptions { args, stdio: terminal(), ..ProcessOptions::default() })?;
    Ok((runtime, process))
}

/// The streams of this program.
fn terminal() -> Stdio {
    let stdout = Box::new(tokio::io::stdout());
    let stderr = Box::new(tokio::io::stderr());
    Stdio {
        stdin: Stdin::Inherit,
        stdout: if io::stdout().is_terminal() { Stdout::Terminal(stdout) } else { Stdout::Writer(stdout) },
        stderr: if io::stderr().is_terminal() { Stdout::Terminal(stderr) } else { Stdout::Writer(stderr) },
    }
}

fn signalled(signal: &str) -> ExitCode {
    ExitCode::from(SIGNALLED + if signal == "SIGTERM" { 15 } else { 2 })
}

/// The process that a user means: the name of a command, or the id or name of an entry.
fn find(registry: &Registry, name: &str) -> Result<FunctionId, CallError> {
    if let Some(command) = registry.commands().iter().find(|command| command.name == name) {
        return Ok(command.process.clone());
    }
    let ids = || registry.processes().iter().map(|process| &process.id);
    let named: Vec<_> = ids().filter(|id| id.as_str() == name || id.name() == name).collect();
    match named.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => {}
        several => {
            let ids: Vec<_> = several.iter().map(|id| format!("`{id}`")).collect();
            let message = format!("`{name}` may be {}; write the whole id", ids.join(" or "));
            return Err(CallError::new(ErrorKind::Invalid, message));
        }
    }
    let same = |id: &FunctionId| id.as_str() == name || id.name() == name;
    if let Some(function) = registry.functions().iter().find(|function| same(&function.id)) {
        let id = &function.id;
        let message = format!("`{id}` is a function, which is called: `greenroom call ROOT {id}`");
        return Err(CallError::new(ErrorKind::Invalid, message));
    }
    let commands = registry.commands().iter().map(|command| command.name.as_str());
    let advice = match registry::closest(name, commands.chain(ids().map(FunctionId::as_str))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`greenroom run ROOT {}` shows those that there are", Command::LIST),
    };
    Err(CallError::new(ErrorKind::NotFound, format!("there is no command `{name}`; {advice}")))
}
