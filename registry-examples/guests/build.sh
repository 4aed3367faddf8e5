#!/usr/bin/env bash
# Rebuilds the example guests from their sources, copies them to the registries that use them, and writes their hashes
# into the registry files.
#
#   build.sh             rebuild, copy, write hashes
#   build.sh --bindings  make gen/ anew from wit/ first (needs wit-bindgen on PATH)
#   build.sh --check     change nothing: fail when a committed file or hash differs from what the sources give
#
# Needs Debian's clang-14 with wasi-libc (installed through apt when missing and run as root) and a rustup toolchain,
# whose wasm-component-ld and wasm-ld link the components.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
examples=$(dirname "$here")
mode=${1:-}
case $mode in
  "" | --bindings | --check) ;;
  *) echo "build.sh: unknown option \`$mode\`; there are --bindings and --check" >&2; exit 2 ;;
esac

# Which registries hold a copy of which guest.
copies() {
  case $1 in
    compute) echo compute document/entries document/again document/fields funcs ;;
    greet) echo document/entries ;;
    mapper) echo pipeline document/entries ;;
    sleep_test) echo sleep document/entries ;;
    files) echo env-and-mounts document/fields ;;
    stress) echo limits ;;
    pricing) echo funcs ;;
    net | fetch) echo network ;;
    # Used by tests alone; see `folder`.
    prober | plain_command | plain_reactor) echo actors/tests/guests ;;
  esac
}
guests=(compute greet mapper sleep_test files stress pricing net fetch prober plain_command plain_reactor)

# folder OF: where a copy goes: the wasm/ of a registry, or a folder of tests.
folder() {
  case $1 in
    actors/*) echo "$(dirname "$examples")/$1" ;;
    *) echo "$examples/$1/wasm" ;;
  esac
}

builtins=(/usr/lib/llvm-14/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a)
if ! command -v clang-14 >/dev/null || [ ! -f /usr/include/wasm32-wasi/stdio.h ] || [ ! -f "${builtins[0]}" ]; then
  apt-get update >&2
  apt-get install -y --no-install-recommends clang-14 wasi-libc libclang-rt-14-dev-wasm32 >&2
fi
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
linkers=$sysroot/lib/rustlib/$host/bin
if [ ! -x "$linkers/wasm-component-ld" ]; then
  echo "build.sh: $linkers has no wasm-component-ld; use a Rust toolchain installed by rustup" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build_plain NAME: a core module, which C's library made and no component linker has seen.
build_plain() {
  local name=$1 model=${1#plain_}
  (
    cd "$here/$name"
    clang-14 --target=wasm32-wasi -std=c11 -Oz -Wall -Wextra -Werror -ffunction-sections -fdata-sections -c "$name.c" \
      -o "$work/$name.o"
    clang-14 --target=wasm32-wasi "-mexec-model=$model" -fuse-ld="$linkers/gcc-ld/wasm-ld" \
      -Wl,--strip-all -Wl,--gc-sections "$work/$name.o" -o "$work/$name.wasm"
  )
}

# build NAME: $work/NAME.wasm from the sources of the guest.
build() {
  local name=$1 dir=$here/$1 generated
  generated=$(cd "$dir/gen" && ls ./*.c)
  generated=$(basename "$generated" .c)
  # From within the folder, so that no absolute path can get into what is built.
  (
    cd "$dir"
    local flags=(--target=wasm32-wasi -std=c11 -Oz -ffunction-sections -fdata-sections -Igen)
    clang-14 "${flags[@]}" -Wall -Wextra -Werror -c "$name.c" -o "$work/$name.o"
    clang-14 "${flags[@]}" -c "gen/$generated.c" -o "$work/$name.gen.o"
    clang-14 --target=wasm32-wasi -mexec-model=reactor \
      -fuse-ld="$linkers/wasm-component-ld" -Wl,--wasm-ld-path="$linkers/gcc-ld/wasm-ld" \
      -Wl,--strip-all -Wl,--gc-sections \
      "$work/$name.o" "$work/$name.gen.o" "gen/${generated}_component_type.o" -o "$work/$name.wasm"
  )
}

# bindings NAME: gen/ from wit/.
bindings() {
  local dir=$here/$1
  rm -rf "$dir/gen"
  wit-bindgen c --out-dir "$dir/gen" --world "${1//_/-}" "$dir/wit"
}

# with_hashes FILE: the registry file with the hash of each `path:` that comes right before a `hash:`.
with_hashes() {
  local root line path="" sum
  root=$(dirname "$1")
  while [ ! -d "$root/wasm" ]; do
    root=$(dirname "$root")
    if [ "$root" = "$examples" ] || [ "$root" = / ]; then
      echo "build.sh: $1 has a hash, but no folder above it has a wasm/" >&2
      return 1
    fi
  done
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      *"- name: "*) path="" ;;
      *" path: "*) path=${line#*path: } ;;
      *" hash: "*)
        sum=$(sha256sum "$root/wasm/${path#/}")
        line="${line%%hash:*}hash: sha256:${sum%% *}"
        ;;
    esac
    printf '%s\n' "$line"
  done <"$1"
}

status=0
for name in "${guests[@]}"; do
  case $name in
    plain_*) build_plain "$name" ;;
    *)
      if [ "$mode" = --bindings ]; then bindings "$name"; fi
      build "$name"
      ;;
  esac
  for registry in $(copies "$name"); do
    target=$(folder "$registry")/$name.wasm
    if [ "$mode" != --check ]; then
      mkdir -p "$(dirname "$target")"
      cp "$work/$name.wasm" "$target"
    elif ! cmp "$work/$name.wasm" "$target"; then
      status=1
    fi
  done
done

while IFS= read -r file; do
  with_hashes "$file" >"$work/hashed.yaml"
  if [ "$mode" != --check ]; then
    cmp -s "$work/hashed.yaml" "$file" || cp "$work/hashed.yaml" "$file"
  elif ! diff -u "$file" "$work/hashed.yaml"; then
    status=1
  fi
done < <(grep -rlE '^ +hash: ' --include='*.yaml' "$examples")

if [ "$status" != 0 ]; then
  echo "build.sh: committed files differ from their sources; run registry-examples/guests/build.sh and commit" >&2
  echo "build.sh: guests/README.md names the versions that they were built with; here are" >&2
  { clang-14 --version | head -1; rustc --version; "$linkers/wasm-component-ld" --version; } >&2
fi
exit "$status"
