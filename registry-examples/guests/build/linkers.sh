# Where a rustup toolchain keeps the linkers of WebAssembly, in $linkers. Sourced by c.sh and rust.sh.

linkers=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
if [ ! -x "$linkers/wasm-component-ld" ]; then
  echo "build.sh: $linkers has no wasm-component-ld; use a Rust toolchain installed by rustup" >&2
  exit 1
fi

# install PACKAGE…: Debian's packages.
install() {
  apt-get update >&2
  apt-get install -y --no-install-recommends "$@" >&2
}
