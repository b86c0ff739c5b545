#!/usr/bin/env bash
# Makes a layer of Node, as npm has it, and of the program beside this file with
# its packages: layer.sh OUT.tar
set -euo pipefail
out=$(realpath -m "${1:?usage: layer.sh OUT.tar}")
here=$(cd "$(dirname "$0")" && pwd)
node=24.21.0
case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) echo "no Node from npm for $(uname -m)" >&2; exit 1 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/usr/local" "$work/root/srv/app" "$work/data/srv/data"
(cd "$work" && npm pack --silent "node-linux-$arch@$node" >/dev/null)
tar -xzf "$work/node-linux-$arch-$node.tgz" -C "$work/root/usr/local" --strip-components=1 package/bin
cp "$here/package.json" "$here/server.js" "$work/root/srv/app"
npm install --prefix "$work/root/srv/app" --cache "$work/npm" --omit=dev --no-audit --no-fund --loglevel=error
tar --create --file "$work/layer.tar" --directory "$work/root" --sort=name --owner=0 --group=0 --numeric-owner ./usr ./srv/app
tar --append --file "$work/layer.tar" --directory "$work/data" --owner=33 --group=33 --numeric-owner ./srv/data # www-data
mv "$work/layer.tar" "$out"
