//! The command line: what is written, and nothing of what it does.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::{lab::Pace, rows::scale};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "greenroom-bench", about = "Measures Greenroom beside wasmtime alone and beside its peers")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure, print a table, and say which targets are met
    #[command(after_help = ALL_HELP)]
    All(All),
    /// Build what some rows compare with: the `wasmtime` program, in `target/peers`; takes some ten minutes
    Peers,
    /// Print how many calls a second many functions take together
    #[command(hide = true)]
    Functions {
        /// How many functions.
        count: usize,
        /// How long, in milliseconds.
        millis: u64,
        /// Whether callers have threads of their own.
        #[arg(long)]
        apart: bool,
    },
    /// The program `greenroom`, as rows start it
    #[command(hide = true, disable_help_flag = true)]
    Greenroom {
        /// What it is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Print how long one side of the rows of this family takes, and what memory
    #[command(hide = true)]
    Scale {
        /// What is measured.
        side: scale::Side,
        /// How many.
        count: usize,
        /// Where functions are loaded from.
        registry: Option<PathBuf>,
    },
    /// Name the rows and their figures, the baseline and the target of each
    List,
}

const ALL_HELP: &str = "\
Close everything else: ours and the baseline take turns, so that noise meets both, but a build beside them spoils
the latencies. A missed target is no failure of this program.

Examples:
  cargo run --release -p greenroom-bench -- all --quick
  cargo run --release -p greenroom-bench -- all --only fresh-64 --only warm-64 --json results.json";

/// What is measured, how long, and where it goes.
#[derive(Debug, Args)]
pub struct All {
    /// Fewer and shorter rounds: all rows in less than 8 minutes
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,
    /// As short as makes sense, to see that every row runs; the figures mean nothing
    #[arg(long)]
    smoke: bool,
    /// Only this row; may be given several times
    #[arg(long, value_name = "ROW")]
    pub only: Vec<String>,
    /// Let callers be tasks on threads of their own, as those of an embedder are, and not beside the functions
    #[arg(long)]
    pub apart: bool,
    /// Write the results to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Measure what the plots of docs/performance.md show, too, and draw them into this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plots: Option<PathBuf>,
    /// The `wasmtime` that is the peer, if not that of `greenroom-bench peers`
    #[arg(long, value_name = "PATH", env = "WASMTIME", value_hint = ValueHint::FilePath)]
    pub wasmtime: Option<PathBuf>,
}

impl All {
    /// How long the rows are measured.
    pub fn pace(&self) -> Pace {
        match (self.smoke, self.quick) {
            (true, _) => Pace::SMOKE,
            (_, true) => Pace::QUICK,
            _ => Pace::FULL,
        }
    }
}
