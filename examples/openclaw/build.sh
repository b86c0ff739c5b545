#!/usr/bin/env bash
# Builds the image of OpenClaw as an OCI layout: build.sh [LAYOUT]
#
# Needs mmdebstrap, npm, tar and Go, and about 3 GB of disk for a few minutes.
# Base: Debian 12. Node: the prebuilt one of npm. Versions are pinned here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache/openclaw
out=$(realpath -m "${1:-$cache/image}")

openclaw=2026.9.6
node=24.21.0 # OpenClaw wants 24.16 or later, below 25, or 26.1
case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) echo "no Node from npm for $(uname -m)" >&2; exit 1 ;;
esac

mkdir -p "$cache"
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# part FILE COMMAND...: a tar file that is made once.
part() {
  local file=$cache/$1
  shift
  [ -s "$file" ] || { echo "building $(basename "$file")" >&2; "$@" "$work/part.tar" && mv "$work/part.tar" "$file"; }
}

# layer OUT DIR: the files of DIR, owned by root, in one order.
layer() { tar --create --file "$1" --directory "$2" --sort=name --owner=0 --group=0 --numeric-owner .; }

base() {
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,procps bookworm "$1"
}

runtime() {
  mkdir -p "$work/node/usr/local"
  (cd "$work" && npm pack --silent "node-linux-$arch@$node" >/dev/null)
  tar -xzf "$work/node-linux-$arch-$node.tgz" -C "$work/node/usr/local" --strip-components=1 package/bin package/LICENSE
  layer "$1" "$work/node"
}

program() {
  mkdir -p "$work/app/opt/openclaw" "$work/node"
  tar -xf "$cache/node-$node.tar" -C "$work/node"
  PATH=$work/node/usr/local/bin:$PATH npm install --prefix "$work/app/opt/openclaw" --cache "$work/npm" \
    --omit=dev --no-audit --no-fund --loglevel=error "openclaw@$openclaw" >&2
  mkdir -p "$work/app/usr/local/bin"
  ln -s /opt/openclaw/node_modules/.bin/openclaw "$work/app/usr/local/bin/openclaw"
  layer "$1" "$work/app"
}

# account adds the user that the gateway runs as to the accounts of the base, and
# its settings. They let OpenClaw connect to 198.18.0.0/15, which it refuses
# otherwise: Consentry gives every name an address there until you said yes.
account() {
  mkdir -p "$work/user/etc" "$work/user/home/openclaw/.openclaw"
  tar -xf "$cache/base.tar" -C "$work/user" ./etc/passwd ./etc/group
  echo 'openclaw:x:1000:1000::/home/openclaw:/bin/sh' >>"$work/user/etc/passwd"
  echo 'openclaw:x:1000:' >>"$work/user/etc/group"
  chmod 0644 "$work/user/etc/passwd" "$work/user/etc/group"
  tar --create --file "$work/etc.tar" --directory "$work/user" --sort=name --owner=0 --group=0 --numeric-owner ./etc
  cp "$here/openclaw.json" "$work/user/home/openclaw/.openclaw/openclaw.json"
  chmod 0600 "$work/user/home/openclaw/.openclaw/openclaw.json"
  tar --create --file "$work/home.tar" --directory "$work/user" --sort=name --owner=1000 --group=1000 --numeric-owner ./home/openclaw
}

part base.tar base
part "node-$node.tar" runtime
part "openclaw-$openclaw.tar" program
account

cd "$root"
go run ./tools/mkimage -o "$out" \
  -layer "$cache/base.tar" -layer "$cache/node-$node.tar" -layer "$cache/openclaw-$openclaw.tar" \
  -layer "$work/etc.tar" -layer "$work/home.tar" \
  -user openclaw -dir /home/openclaw -volume /home/openclaw/.openclaw -stop SIGTERM -port 18789 \
  -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -env HOME=/home/openclaw \
  -env NODE_COMPILE_CACHE=/home/openclaw/.cache/node \
  -cmd openclaw,gateway,--allow-unconfigured,--bind,lan,--port,18789 \
  -label "dev.consentry.manifest=$here/manifest.json"
echo "$out"
