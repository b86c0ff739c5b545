#!/usr/bin/env bash
# Builds the guest's kernel from Debian's source and kernel/config:
# guest-kernel.sh x86_64|arm64 [FOLDER]. Prints the folder that holds it:
#   kernel    what a monitor boots (bzImage, or Image on arm64)
#   config    the whole configuration
#   sha256    of the kernel; the same for every build of the same inputs
# Without FOLDER that is one under .cache, named by the hash of all that goes
# in (source, configuration, this script, compiler), and built once.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's security team keeps 6.12 until 2028. A newer one: change both lines.
version=6.12.117-1
digest=9141325315c7f1eca682113d185a8c77c82814aa6e32f7e127e61d6106403835
suite=trixie

arch=${1:?usage: guest-kernel.sh x86_64|arm64 [FOLDER]}
case $arch in
  x86_64) image=arch/x86/boot/bzImage;  cross=x86_64-linux-gnu-;  compiler=gcc-x86-64-linux-gnu ;;
  arm64)  image=arch/arm64/boot/Image;  cross=aarch64-linux-gnu-; compiler=gcc-aarch64-linux-gnu ;;
  *)      echo "guest-kernel.sh: no such architecture: $arch (x86_64 and arm64 are)" >&2; exit 2 ;;
esac

cache=$PWD/.cache/guest-kernel
mkdir -p "$cache"
exec 9>"$cache/lock" # two builds at once would do the work twice
flock 9

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need "${cross}gcc" "$compiler"
need flex flex
need bison bison
need bc bc
need lz4 lz4
need pahole dwarves
[ -e /usr/include/gelf.h ] || missing+=(libelf-dev)
[ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}" >&2
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1 ||
    { tail -n 5 "$cache/apt.log" >&2; exit 1; }
fi

inputs=$({ echo "$digest $arch"; "${cross}gcc" --version; pahole --version; cat kernel/config/common.config "kernel/config/$arch.config" scripts/guest-kernel.sh; } | sha256sum | cut -c1-16)
out=${2:-$cache/$arch-$inputs}
if [ ! -e "$out/sha256" ]; then
  deb=$cache/linux-source_$version.deb
  if ! sha256sum --quiet -c <<<"$digest  $deb" 2>/dev/null; then
    scripts/apt-fetch.sh "$suite" "linux-source-6.12=$version" "$deb" ||
      { echo "Debian's $suite has no linux-source-6.12 $version any more: set the newer version and its digest in scripts/guest-kernel.sh" >&2; exit 1; }
    sha256sum --quiet -c <<<"$digest  $deb"
  fi

  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "unpacking Linux $version" >&2
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" --wildcards -f - '*.tar.xz'
  mkdir "$work/linux"
  tar -x -J -C "$work/linux" --strip-components=1 -f "$work"/usr/src/linux-source-*.tar.xz
  cat kernel/config/common.config "kernel/config/$arch.config" >"$work/asked"

  # Nothing of this machine or this day gets into the kernel.
  export KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=consentry KBUILD_BUILD_HOST=consentry KBUILD_BUILD_VERSION=1
  export ARCH=$arch CROSS_COMPILE=$cross LC_ALL=C
  make="make -C $work/linux -s"
  KCONFIG_ALLCONFIG="$work/asked" $make allnoconfig >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

  # Kconfig drops in silence what depends on something else.
  lost=$(grep -v '^#' "$work/asked" | grep . | while read -r line; do
    name=${line%%=*}
    case $line in
      *=n) ! grep -q "^$name=" "$work/linux/.config" || echo "$line" ;;
      *)   grep -qxF "$line" "$work/linux/.config" || echo "$line" ;;
    esac
  done)
  if [ -n "$lost" ]; then
    printf 'Kconfig did not take:\n%s\n' "$lost" >&2
    exit 1
  fi

  echo "building the kernel for $arch (about ten minutes on two cores)" >&2
  $make -j"$(nproc)" "${image##*/}" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; }
  mkdir -p "$out"
  cp "$work/linux/$image" "$out/kernel"
  cp "$work/linux/.config" "$out/config"
  sha256sum <"$out/kernel" | cut -d' ' -f1 >"$out/sha256.new"
  mv "$out/sha256.new" "$out/sha256"
fi
echo "$out"
