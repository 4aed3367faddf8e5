//! The programs that some rows compare with: where they are, and how they are built.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::lab::NotMeasured;

/// The version of wasmtime that ours is built on: another would compare versions.
const WASMTIME: &str = "48";

/// Where peers are built, below the repository.
fn place() -> PathBuf {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench).join("target/peers")
}

/// Where [`build`] puts the `wasmtime` program.
pub fn wasmtime() -> PathBuf {
    place().join("bin").join(format!("wasmtime{}", std::env::consts::EXE_SUFFIX))
}

/// Builds the `wasmtime` program.
///
/// # Errors
/// When cargo is not there or fails; it says why.
pub fn build() -> anyhow::Result<()> {
    let place = place();
    let version = format!("^{WASMTIME}");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["install", "wasmtime-cli", "--version", &version, "--locked", "--root"])
        .arg(&place)
        .arg("--target-dir")
        .arg(place.join("build"))
        .status()
        .context("`cargo` cannot be run")?;
    ensure!(status.success(), "`cargo install wasmtime-cli` failed");
    Ok(())
}

/// Checks that this is the `wasmtime` program, of the version to compare with.
///
/// # Errors
/// [`NotMeasured`] when it is not.
pub fn check(path: &Path) -> Result<(), NotMeasured> {
    let get_it = "build it with `greenroom-bench peers`, or name it with `--wasmtime PATH`";
    let output = Command::new(path).arg("--version").output();
    let output = output.map_err(|error| NotMeasured(format!("no peer {}: {error}; {get_it}", path.display())))?;
    let version = String::from_utf8_lossy(&output.stdout);
    match version.trim().strip_prefix("wasmtime ").is_some_and(|version| version.split('.').next() == Some(WASMTIME)) {
        true => Ok(()),
        false => {
            let found = version.lines().next().unwrap_or_default();
            Err(NotMeasured(format!("{} is `{found}`, not wasmtime {WASMTIME}; {get_it}", path.display())))
        }
    }
}
