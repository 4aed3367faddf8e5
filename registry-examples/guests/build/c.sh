#!/usr/bin/env bash
# Builds the guests in C: `c.sh [--bindings] OUT` or `c.sh --versions`. Called by build.sh.
#
# A guest with a wit/ becomes a component; its bindings are committed in gen/. One without stays a core module with
# preview 1 of WASI: a command, or a library when its name ends in `_reactor`.
#
# Needs Debian's clang-14 with wasi-libc (installed through apt when missing and run as root) and a rustup toolchain,
# whose wasm-component-ld and wasm-ld link.
set -euo pipefail

guests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$guests/build/linkers.sh"

builtins=(/usr/lib/llvm-14/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a)
if ! command -v clang-14 >/dev/null || [ ! -f /usr/include/wasm32-wasi/stdio.h ] || [ ! -f "${builtins[0]}" ]; then
  install clang-14 wasi-libc libclang-rt-14-dev-wasm32
fi

case $1 in
  --versions)
    clang-14 --version | head -1
    rustc --version
    "$linkers/wasm-component-ld" --version
    exit
    ;;
  --bindings)
    for wit in "$guests"/*/gen/../wit; do
      dir=$(dirname "$wit")
      name=$(basename "$dir")
      rm -rf "$dir/gen"
      wit-bindgen c --out-dir "$dir/gen" --world "${name//_/-}" "$wit"
    done
    shift
    ;;
esac
out=$1

flags=(--target=wasm32-wasi -std=c11 -Oz -ffunction-sections -fdata-sections)
for source in "$guests"/*/*.c; do
  dir=$(dirname "$source")
  name=$(basename "$source" .c)
  # From within the folder, so that no absolute path can get into what is built.
  cd "$dir"
  objects=("$out/$name.o")
  if [ -d gen ]; then
    generated=$(basename gen/*.c .c)
    clang-14 "${flags[@]}" -Igen -Wall -Wextra -Werror -c "$name.c" -o "$out/$name.o"
    clang-14 "${flags[@]}" -Igen -c "gen/$generated.c" -o "$out/$name.gen.o"
    objects+=("$out/$name.gen.o" "gen/${generated}_component_type.o")
    link=(-mexec-model=reactor "-fuse-ld=$linkers/wasm-component-ld" "-Wl,--wasm-ld-path=$linkers/gcc-ld/wasm-ld")
  else
    clang-14 "${flags[@]}" -Wall -Wextra -Werror -c "$name.c" -o "$out/$name.o"
    model=command
    case $name in *_reactor) model=reactor ;; esac
    link=("-mexec-model=$model" "-fuse-ld=$linkers/gcc-ld/wasm-ld")
  fi
  clang-14 --target=wasm32-wasi "${link[@]}" -Wl,--strip-all -Wl,--gc-sections "${objects[@]}" -o "$out/$name.wasm"
  rm "$out/$name"*.o
done
