//! The `greenroom` program. Everything that it does is in [`greenroom::cli`].

use std::process::ExitCode;

/// Functions allocate on one thread what is freed on another, all the time. The allocator of the C library waits for locks then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    greenroom::cli::main(std::env::args_os())
}
