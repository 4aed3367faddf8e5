#!/usr/bin/env bash
# Builds the guests in JavaScript: `javascript.sh OUT`. Called by build.sh.
#
# Needs Node.js and npm (installed through apt when missing and run as root); componentize-js comes through npm, in the
# versions of package-lock.json. Takes a minute.
set -euo pipefail

guests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if ! command -v npm >/dev/null; then
  apt-get update >&2
  apt-get install -y --no-install-recommends nodejs npm >&2
fi

# A copy, so that what npm installs is not beside the sources.
place=$guests/../../target/guests/build/javascript
mkdir -p "$place/javascript"
cp -r "$guests/scripting" "$place/"
cp -r "$guests/javascript"/* "$guests/javascript/.npmrc" "$place/javascript/"
cd "$place/javascript"
if ! cmp -s package-lock.json installed; then
  npm ci --no-audit --no-fund >&2
  cp package-lock.json installed
fi
node build.mjs "$1" >&2
