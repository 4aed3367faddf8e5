#!/usr/bin/env bash
# Builds the guest in Python: `python.sh OUT`. Called by build.sh.
#
# Needs Python 3 with venv (installed through apt when missing and run as root); componentize-py comes through pip, in
# the version of requirements.txt. Takes a quarter of a minute.
set -euo pipefail

guests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  apt-get update >&2
  apt-get install -y --no-install-recommends python3 python3-venv >&2
fi

place=$guests/../../target/guests/build/python
if ! cmp -s "$guests/python/requirements.txt" "$place/installed"; then
  mkdir -p "$place"
  python3 -m venv --clear "$place/venv"
  "$place/venv/bin/pip" install --quiet --disable-pip-version-check -r "$guests/python/requirements.txt" >&2
  cp "$guests/python/requirements.txt" "$place/installed"
fi
# A copy, so that what Python compiles on the way is not beside the sources.
cp "$guests/python/scripting.py" "$place/"
cd "$place"
"$place/venv/bin/componentize-py" --quiet -d "$guests/scripting/wit" -w scripting \
  componentize scripting -o "$1/scripting.wasm" >&2
