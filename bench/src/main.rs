//! The benchmark program: measures rows, each beside its baseline in the same run, and says which targets are met.
//!
//! What a row measures is in `rows`; how ours and the baseline take turns, in `rounds`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that measures prints what it found")]

mod bare;
mod clients;
mod guests;
mod lab;
mod load;
mod options;
mod ours;
mod peers;
mod plots;
mod report;
mod rounds;
mod rows;
mod server;
mod sweeps;
mod table;

use std::{io::Write as _, process::ExitCode, time::Duration};

use clap::Parser;

use self::{
    lab::{Lab, Pace},
    options::{Cli, Command},
    rows::{functions, scale},
};

// As the program `greenroom` has it; ours and the baseline share it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List => {
            // Whoever reads no further has seen enough.
            drop(writeln!(std::io::stdout(), "{}", table::of_rows(&rows::all())));
            Ok(ExitCode::SUCCESS)
        }
        Command::Functions { count, millis, apart } => {
            let lab = Lab::new(Pace::QUICK, apart, None)?;
            let found = functions::here(&lab, count, Duration::from_millis(millis))?;
            println!("{}", serde_json::to_string(&found)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Greenroom { args } => Ok(greenroom::cli::main(["greenroom".into()].into_iter().chain(args))),
        Command::Scale { side, count, registry } => {
            let lab = Lab::new(Pace::QUICK, false, None)?;
            println!("{}", serde_json::to_string(&scale::here(&lab, side, count, registry)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Peers => {
            peers::build()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::All(all) => {
            let rows = rows::chosen(&all.only)?;
            if let Some(path) = &all.json {
                // A file that cannot be written is met before anything is measured.
                report::write(path, &[])?;
            }
            let lab = Lab::new(all.pace(), all.apart, all.wasmtime.clone())?;
            let mut results = Vec::new();
            for row in &rows {
                eprintln!("{}: {}", row.name(), row.about());
                results.extend(rounds::measure(row.as_ref(), &lab));
            }
            println!("{}", table::of_results(&results));
            if let Some(path) = &all.json {
                report::write(path, &results)?;
            }
            if let Some(directory) = &all.plots {
                plots::draw(directory, &sweeps::all(&lab)?)?;
            }
            let failed = results.iter().any(|result| result.outcome.is_failed());
            Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    }
}
