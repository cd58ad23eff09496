#!/bin/sh
# run.sh SCRIPT.mjs ARGUMENTS...: runs a script of this folder with a node of version 20 or later: the system's, else
# the one from npm.
set -eu
cd "$(dirname "$0")"
if [ ! -d node_modules/libp2p ]; then
    echo "tests/interop/node_modules is missing: run 'npm ci --ignore-scripts' in tests/interop, or ./dev test" >&2
    exit 1
fi
node=node
major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ "${major:-0}" -lt 20 ]; then node=node_modules/.bin/node; fi
exec "$node" "$@"
