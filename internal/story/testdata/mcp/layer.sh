#!/usr/bin/env bash
# Makes a layer of the program beside this file with its packages: layer.sh OUT.tar
set -euo pipefail
out=$(realpath -m "${1:?usage: layer.sh OUT.tar}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/srv/mcp"
cp "$here/package.json" "$here/tools.js" "$work/root/srv/mcp"
npm install --prefix "$work/root/srv/mcp" --cache "$work/npm" --omit=dev --no-audit --no-fund --loglevel=error
tar --create --file "$out" --directory "$work/root" --sort=name --owner=0 --group=0 --numeric-owner ./srv
