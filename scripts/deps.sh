#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a make target needs and this
# machine lacks: deps.sh demo|test|long|bench|wine|package. Touches nothing when all are there.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

group=${1:?usage: deps.sh demo|test|long|bench|wine|package}

# have NEED: a command on PATH, or a file (shell pattern) when it starts with /.
have() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *)  command -v "$1" >/dev/null ;;
  esac
}

# clang_major: of the clang that is here, else of the one that apt would install.
clang_major() {
  { clang --version 2>/dev/null || apt-cache depends clang 2>/dev/null || true; } |
    sed -n 's/.*clang version \([0-9]*\).*/\1/p; s/.*Depends: clang-\([0-9]*\).*/\1/p' | head -n 1
}

# wasm_needs is what builds WebAssembly from C and Rust.
wasm_needs() {
  [ "$group" != demo ] && [ "$group" != package ] || return 0
  echo "clang clang"
  echo "wasm-ld lld"
  echo "/usr/lib/wasm32-wasi/libc.a wasi-libc"
  echo "/usr/bin/rustc rustc"
  echo "/usr/lib/rustlib/wasm32-wasi/lib libstd-rust-dev-wasm32"
  local major
  major=$(clang_major)
  echo "/usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a libclang-rt-${major:-14}-dev-wasm32"
}

# NEED PACKAGE, one a line. Where several commands will do, they are joined by |.
needs() {
  cat <<'END'
mmdebstrap mmdebstrap
ip iproute2
curl curl
ping iputils-ping
python3 python3
/etc/ssl/certs/ca-certificates.crt ca-certificates
END
  if [ "$group" = long ]; then
    echo "npm npm"
    echo "dockerd docker.io"
  fi
  if [ "$group" = bench ]; then
    echo "pasta passt"
    echo "slirp4netns slirp4netns"
    echo "skopeo skopeo"
    echo "umoci umoci"
    echo "podman podman"
    echo "containerd containerd"
    echo "docker-registry docker-registry"
    echo "mkfs.ext4 e2fsprogs"
    echo "npm npm"
    echo "bwrap bubblewrap"
    echo "crun crun"
    echo "runc runc"
    echo "busybox busybox-static"
    echo "node nodejs"
  fi
  if [ "$group" = wine ]; then
    echo "/usr/lib/wine/wine64 wine64"
    echo "llvm-dlltool llvm"
  fi
  if [ "$group" = package ] || [ "$group" = test ]; then
    echo "makensis nsis"
    echo "wixl wixl"
    echo "msibuild msitools"
    echo "osslsigncode osslsigncode"
    echo "faketime faketime"
    echo "zip zip"
  fi
  wasm_needs
  [ "$group" = test ] || return 0
  cat <<'END'
gcc gcc
/usr/include/stdlib.h libc6-dev
qemu-system-x86_64 qemu-system-x86
qemu-system-aarch64 qemu-system-arm
/usr/include/bpf/bpf_helpers.h libbpf-dev
chromium|chromium-browser|google-chrome chromium
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
docker-registry docker-registry
htpasswd apache2-utils
dnsmasq dnsmasq-base
tcpdump tcpdump
tinyproxy tinyproxy-bin
microsocks microsocks
umoci umoci
podman podman
skopeo skopeo
busybox busybox-static
strace strace
fusermount3 fuse3
depmod kmod
xz xz-utils
cpio cpio
newuidmap uidmap
setpriv util-linux
systemd-analyze systemd
dbus-run-session dbus
gnome-keyring-daemon gnome-keyring
radicale radicale
xclip xclip
Xvfb xvfb
dbus-daemon dbus
xfce4-panel xfce4-panel
/usr/lib/*/xfce4/notifyd/xfce4-notifyd xfce4-notifyd
xdotool xdotool
import imagemagick
zenity zenity
rpm rpm
mandoc mandoc
groff groff-base
/usr/lib/wine/wine64 wine64
/usr/share/icons/Adwaita adwaita-icon-theme
END
}

# look fills missing with the packages of what is not here.
look() {
  local need package found way ways list
  list=$(needs)
  missing=()
  while read -r need package; do
    found=
    IFS='|' read -ra ways <<<"$need"
    for way in "${ways[@]}"; do
      if have "$way"; then found=1; fi
    done
    [ -n "$found" ] || missing+=("$package")
  done <<<"$list"
}

look
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]}" >&2
  echo "hint: these are Debian's names; there is no apt-get here, install them by hand" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "missing: ${missing[*]}" >&2
  echo "hint: as root, apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Another apt may hold the lists for a while.
apt() {
  local try
  for try in 1 2 3 4 5 6; do
    if apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; then return 0; fi
    grep -q 'Could not get lock\|Unable to lock' "$log" || break
    sleep 10
  done
  tail -n 20 "$log" >&2
  return 1
}

echo "installing ${missing[*]}"
apt update || echo "apt-get update had errors; going on with the lists that are there" >&2
look # names with a version in them are known only now

wanted=()
for package in "${missing[@]}"; do
  if [ -n "$(apt-cache policy "$package" 2>/dev/null | sed -n 's/.*Candidate: //p' | grep -v '(none)')" ]; then
    wanted+=("$package")
  else
    echo "no package $package here: the tests that need it will skip" >&2
  fi
done
[ ${#wanted[@]} -eq 0 ] || apt install -y --no-install-recommends "${wanted[@]}"
