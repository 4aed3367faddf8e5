//! The command line: what is written, and which command does it. Each command is a room of its own below, and is given
//! what it works on; the words and options of all of them are here and in `options`.

pub mod admin;
mod arguments;
pub mod bench;
mod call;
mod check;
mod command;
mod failure;
pub mod inspect;
mod logs;
mod metrics;
mod new;
mod options;
mod output;
pub mod run;
mod signals;
mod target;

use std::{ffi::OsString, future::Future, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueHint};

use self::{
    failure::Failure,
    options::{OutputOptions, RegistryOptions},
};

#[derive(Debug, Parser)]
#[command(
    name = "greenroom",
    version,
    about = "Runs WebAssembly functions, described by YAML registries, under an actor supervision tree",
    after_help = "Start with `greenroom new hello`, then `greenroom check hello`.",
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    output: OutputOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Call one function and print its result as JSON
    #[command(after_help = call::HELP)]
    Call(call::Options),
    /// Load, compile and link everything, run nothing, and report all errors at once
    #[command(after_help = check::HELP)]
    Check(check::Options),
    /// Start the tree and its HTTP servers, until SIGINT or SIGTERM; or run one command of the registry
    #[command(after_help = run::HELP)]
    Run(run::Options),
    /// Call one function again and again, and print calls per second and latencies
    #[command(after_help = bench::HELP)]
    Bench(bench::Options),
    /// Show what a WebAssembly file exports and imports, and the registry entry that runs it
    #[command(after_help = "Example:\n  greenroom inspect wasm/compute.wasm")]
    Inspect {
        /// A component or core module, binary or text
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Write a small registry that runs, to start from
    #[command(after_help = "Example:\n  greenroom new hello && greenroom check hello")]
    New {
        /// The folder; made when it does not exist, refused when there is something in it
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print the JSON Schema of registry files, for editors
    #[command(
        after_help = "Example, with `# yaml-language-server: $schema=greenroom.schema.json` as the first line of \
        an _index.yaml:\n  greenroom schema > greenroom.schema.json"
    )]
    Schema,
    /// Print the completions for a shell
    #[command(after_help = "Examples:\n  \
        greenroom completions bash > ~/.local/share/bash-completion/completions/greenroom\n  \
        greenroom completions zsh > ~/.zfunc/_greenroom\n  \
        greenroom completions fish > ~/.config/fish/completions/greenroom.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Does what the command line says, and returns the exit code. `args` begins with the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Whoever closed the pipe does not want to read it.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    cli.output.apply();
    let done =
        logs::start(&cli.output, cli.command.log_default()).and_then(|_logging| cli.command.carry_out(&cli.output));
    done.unwrap_or_else(|failure| failure.report(cli.output.format))
}

impl Command {
    /// What is logged when `--log` is not given.
    fn log_default(&self) -> &'static str {
        match self {
            Self::Run(options) if !options.is_command() => "warn,greenroom=info",
            // What the guest prints is part of what whoever calls it wants to see. What may go wrong with a function is
            // for `check` to warn of; a call says what did.
            Self::Call(_) | Self::Run(_) => {
                "warn,greenroom_actors::runtime=error,greenroom_actors::dispatcher=error,greenroom::guest=info"
            }
            Self::Bench(_) => "warn,greenroom_actors::runtime=error,greenroom_actors::dispatcher=error",
            _ => "warn",
        }
    }

    fn carry_out(self, output: &OutputOptions) -> Result<ExitCode, Failure> {
        match self {
            Self::Call(options) => wait_for(call::call(options)),
            Self::Check(options) => check::check(&options, output.format),
            Self::Run(options) => wait_for(run::run(options, output.format)),
            Self::Bench(options) => wait_for(bench::bench(options, output.format)),
            Self::Inspect { file } => {
                let inspection = inspect::inspect_file(&file).map_err(anyhow::Error::from)?;
                output::print(output.format, &inspection)
            }
            Self::New { dir } => new::new(&dir, output.format),
            Self::Schema => output::print_text(&format!("{:#}", crate::registry::schema())),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "greenroom", &mut script);
                output::print_text(String::from_utf8_lossy(&script).trim_end())
            }
        }
    }
}

/// Runs a command on the control threads.
fn wait_for(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("greenroom-control").build();
    let threads = threads.context("the control threads cannot be started")?;
    let done = threads.block_on(command);
    // A compilation that nobody waits for any more must not keep the process.
    threads.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
