//! The `greenroom` program. Everything that it does is in [`greenroom::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroom::cli::main(std::env::args_os())
}
