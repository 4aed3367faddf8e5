#!/usr/bin/env bash
# Builds the guests in Rust: `rust.sh OUT` or `rust.sh --versions`. Called by build.sh.
#
# Each package becomes a component of its name; tally_p1.wasm is the command `tally` as a core module with preview 1 of
# WASI.
#
# A toolchain of rustup that has the targets wasm32-unknown-unknown and wasm32-wasip1 would do; so that none has to be
# downloaded, this builds the standard library from the sources that Debian ships beside a compiler of the same version
# (137 MB through apt when missing and run as root), and links with the linkers of rustup's toolchain and Debian's
# wasi-libc. The first time takes three minutes.
set -euo pipefail

guests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$guests/build/linkers.sh"

sysroot=/usr/lib/wasm32-wasi
if [ ! -x /usr/bin/rustc ] || [ ! -d /usr/lib/rustlib/src/rust/library ] || [ ! -f "$sysroot/crt1-command.o" ]; then
  install rustc-web rust-web-src wasi-libc
fi
if [ "$1" = --versions ]; then
  /usr/bin/rustc --version
  "$linkers/wasm-component-ld" --version
  exit
fi
out=$1

# The compiler that belongs to the sources of the standard library, which only unstable options build.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
export PATH=$linkers/gcc-ld:$PATH
export CARGO_TARGET_DIR=${CARGO_GUESTS_DIR:-$guests/../../target/guests/build/rust}
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linkers/wasm-component-ld
export CARGO_TARGET_WASM32_WASIP1_LINKER=$linkers/wasm-component-ld
# No path of this machine is to get into what is built.
home=${CARGO_HOME:-$HOME/.cargo}
remap="--remap-path-prefix=$home=/cargo --remap-path-prefix=$guests/rust=/guests"
wasip1="-Clink-self-contained=no -L$sysroot"
command=-Clink-arg=$sysroot/crt1-command.o

cd "$guests/rust"
# build PACKAGE TARGET [OPTION…]
build() {
  local package=$1 target=$2
  shift 2
  cargo rustc --release --locked --package "$package" --target "$target" -Zbuild-std=std,panic_abort -- "$@" >&2
  cp "$CARGO_TARGET_DIR/$target/release/$package.wasm" "$out/"
}

# With nothing of WASI but what their bindings import.
export RUSTFLAGS=$remap
build text wasm32-unknown-unknown
build hello_rust wasm32-unknown-unknown
build relay3 wasm32-unknown-unknown
# With the standard library's own imports.
export RUSTFLAGS="$remap $wasip1"
build tally wasm32-wasip1 "$command" -Clink-arg=--skip-wit-component
mv "$out/tally.wasm" "$out/tally_p1.wasm"
build tally wasm32-wasip1 "$command"
build spin wasm32-wasip1
build spin3 wasm32-wasip1
