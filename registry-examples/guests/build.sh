#!/usr/bin/env bash
# Builds the example guests from their sources. Those that are small are copied to the registries that use them, with
# their hashes written into the registry files, and are committed. Those in JavaScript and Python are 10 MB and more:
# they go to target/guests, each with a registry around it, and are never committed.
#
#   build.sh                       the guests in C
#   build.sh rust javascript …     those of these toolchains: c, rust, javascript, python
#   build.sh --all                 all of them
#   build.sh --bindings            the guests in C, with gen/ made anew from wit/ first (needs wit-bindgen on PATH)
#   build.sh --check [c] [rust]    change nothing: fail when a committed file or hash differs from what the sources give
#
# What a toolchain needs is in build/TOOLCHAIN.sh, and is installed when it is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
examples=$(dirname "$here")
built=$(dirname "$examples")/target/guests

mode=build toolchains=()
for argument in "$@"; do
  case $argument in
    --check) mode=check ;;
    --bindings) mode=bindings ;;
    --all) toolchains=(c rust javascript python) ;;
    c | rust | javascript | python) toolchains+=("$argument") ;;
    *)
      echo "build.sh: unknown argument \`$argument\`; there are --all, --bindings, --check, c, rust, javascript, python" >&2
      exit 2
      ;;
  esac
done
if [ ${#toolchains[@]} = 0 ]; then toolchains=(c); fi

# Which registries hold a copy of which guest.
copies() {
  case $1 in
    compute) echo compute document/entries document/again document/fields document/lua funcs http-routes ;;
    greet) echo document/entries http-greet http-routes ;;
    mapper) echo pipeline lua-pipeline document/entries document/lua ;;
    sleep_test) echo sleep document/entries ;;
    files) echo env-and-mounts document/fields ;;
    stress) echo limits ;;
    pricing) echo funcs ;;
    net | fetch) echo network ;;
    hello | hello_rust) echo http-native actors/tests/guests ;;
    # Used by tests alone; see `folder`.
    prober | relay | relay3 | spin | spin3 | plain_command | plain_reactor) echo actors/tests/guests ;;
    text) echo rust ;;
    shout | tally | tally_p1) echo commands ;;
    *) echo "build.sh: no registry uses the guest \`$1\`" >&2; return 1 ;;
  esac
}

# folder OF: where a copy goes: the wasm/ of a registry, or a folder of tests.
folder() {
  case $1 in
    actors/*) echo "$(dirname "$examples")/$1" ;;
    *) echo "$examples/$1/wasm" ;;
  esac
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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
for toolchain in "${toolchains[@]}"; do
  out=$work/$toolchain
  mkdir "$out"
  case $toolchain in
    c | rust)
      if [ "$mode" = bindings ]; then "$here/build/$toolchain.sh" --bindings "$out"; else "$here/build/$toolchain.sh" "$out"; fi
      for file in "$out"/*.wasm; do
        name=$(basename "$file" .wasm)
        registries=$(copies "$name")
        for registry in $registries; do
          target=$(folder "$registry")/$name.wasm
          if [ "$mode" != check ]; then
            mkdir -p "$(dirname "$target")"
            cp "$file" "$target"
            chmod 644 "$target"
          elif ! cmp "$file" "$target"; then
            status=1
          fi
        done
      done
      ;;
    javascript | python)
      if [ "$mode" = check ]; then
        echo "build.sh: guests in $toolchain are not committed: there is nothing to check" >&2
        exit 2
      fi
      "$here/build/$toolchain.sh" "$out"
      # Not the same bytes each time, so that their hash cannot be in a committed file.
      registry=$built/$toolchain
      mkdir -p "$registry/wasm"
      mv "$out"/*.wasm "$registry/wasm/"
      cp "$examples/$toolchain/_index.yaml.in" "$registry/_index.yaml"
      with_hashes "$registry/_index.yaml" >"$work/hashed.yaml"
      mv "$work/hashed.yaml" "$registry/_index.yaml"
      echo "built $registry"
      ;;
  esac
done

# Committed registry files have hashes of committed guests alone.
while IFS= read -r file; do
  with_hashes "$file" >"$work/hashed.yaml"
  if [ "$mode" != check ]; then
    cmp -s "$work/hashed.yaml" "$file" || cp "$work/hashed.yaml" "$file"
  elif ! diff -u "$file" "$work/hashed.yaml"; then
    status=1
  fi
done < <(grep -rlE '^ +hash: ' --include='*.yaml' "$examples")

if [ "$status" != 0 ]; then
  echo "build.sh: committed files differ from their sources; run registry-examples/guests/build.sh ${toolchains[*]} and commit" >&2
  echo "build.sh: guests/README.md names the versions that they were built with; here are" >&2
  for toolchain in "${toolchains[@]}"; do "$here/build/$toolchain.sh" --versions >&2; done
fi
exit "$status"
