#!/usr/bin/env bash
# Makes packages out of this tree: package.sh [linux|windows|darwin ...], all by default.
# From the environment:
#   OUT                folder for the packages; default dist
#   VERSION            such as 1.2.3; default: by the tag, else 0.0.0+DATE.COMMIT
#   ARCHES             of Linux and Windows; default amd64. macOS gets both
#   SOURCE_DATE_EPOCH  of everything in them; default: the last commit's
#   PROGRAMS           folder for what is built, OS-ARCH/PROGRAM; what is there is taken as it is
#   SIGN_CERT SIGN_KEY PEM files to sign the Windows programs and installers with
# The same tree gives the same bytes, but for Windows signatures without SOURCE_DATE_EPOCH.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
out=${OUT:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export TZ=UTC LC_ALL=C SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

describe() {
  git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-\([0-9]*\)-g/+\1./' | grep . ||
    echo "0.0.0+$(git log -1 --format=%cd --date=format:%Y%m%d).$(git rev-parse --short=9 HEAD)"
}
VERSION=${VERSION:-$(describe)}
number=${VERSION%%[+~-]*}
[[ $number =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "package.sh: VERSION=$VERSION: it has to begin with three numbers, as 1.2.3 does" >&2; exit 2; }
export VERSION

at() { date -u -d "@$SOURCE_DATE_EPOCH" "+$1"; }

# tool NAME ARG...: one of those that packaging/tools.mod pins.
tool() { GOFLAGS= go tool -modfile=packaging/tools.mod "$@"; }

# same_times DIR: the times of files are in packages.
same_times() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# build OS ARCH PROGRAM...: fills $programs.
build() {
  local os=$1 arch=$2 name suffix='' flags
  shift 2
  programs=${PROGRAMS:-$work/programs}/$os-$arch
  mkdir -p "$programs"
  [ "$os" != windows ] || suffix=.exe
  for name in "$@"; do
    [ ! -e "$programs/$name$suffix" ] || continue
    flags="-s -w -X main.version=$VERSION"
    [ "$os/$name" != windows/consentry-tray ] || flags+=" -H windowsgui" # it opens no console
    CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$flags" -o "$programs/$name$suffix" "./cmd/$name"
  done
}

# sbom NAME PROGRAM...: what they are made of.
sbom() { go run ./tools/sbom -name "$1" -version "$VERSION" -created "$(at %FT%TZ)" "${@:2}"; }

linux() {
  local arch stage root size
  go run ./cmd/consentry/internal/manual -version "$VERSION" -date "$(at %F)" "$work/manual"
  gzip -9n "$work"/manual/man1/*.1
  for arch in ${ARCHES:-amd64}; do
    build linux "$arch" consentry consentry-{agent,launch,worker,bpf,tray}
    stage=$work/linux-$arch root=$work/linux-$arch/root
    mkdir -p "$root"/usr/share/{man,fish/vendor_completions.d,doc/consentry}
    install -D -m 755 -t "$root/usr/lib/consentry" "$programs"/consentry*
    attacks "$arch"
    install -D -m 644 -t "$root/usr/lib/systemd/system" packaging/systemd/consentry-bpf.{socket,service}
    install -D -m 644 -t "$root/usr/lib/systemd/user" packaging/systemd/consentry.service
    install -D -m 644 -t "$root/usr/lib/udev/rules.d" packaging/udev/70-consentry.rules
    install -D -m 644 packaging/apparmor/consentry "$root/usr/share/consentry/apparmor"
    install -D -m 644 -t "$root/usr/share/applications" packaging/linux/consentry.desktop
    install -D -m 644 "$work/manual/completions/bash" "$root/usr/share/bash-completion/completions/consentry"
    install -D -m 644 "$work/manual/completions/fish" "$root/usr/share/fish/vendor_completions.d/consentry.fish"
    install -m 644 "$work/manual/completions/zsh" "$stage/_consentry"
    cp -r "$work/manual/man1" "$root/usr/share/man/man1"
    for size in 16 32 48 64 128 256 512; do
      install -D -m 644 "packaging/icons/$size.png" "$root/usr/share/icons/hicolor/${size}x$size/apps/consentry.png"
    done
    install -m 644 -t "$root/usr/share/doc/consentry" packaging/linux/copyright
    gzip -9nc CHANGELOG.md >"$root/usr/share/doc/consentry/changelog.gz"
    sbom consentry "$programs"/consentry* >"$root/usr/share/doc/consentry/sbom.spdx.json"
    cp "$root/usr/share/doc/consentry/sbom.spdx.json" "$out/consentry_${VERSION}_linux_$arch.spdx.json"
    same_times "$stage"
    pack "$stage" "$arch" packaging/linux/nfpm.yaml
    guest "$stage" "$arch"
  done
}

# attacks ARCH: what consentry doctor --attack runs; go run knows this machine only.
attacks() {
  [ "$1" = "$(go env GOHOSTARCH)" ] || return 0
  [ -d "$programs/attack" ] || scripts/attack.sh "$programs/attack"
  cp -r "$programs/attack" "$root/usr/lib/consentry"
}

# pack STAGE ARCH CONFIG: both packages.
pack() {
  local kind
  for kind in deb rpm; do
    STAGE=$1 ARCH=$2 tool nfpm package -f "$3" -p "$kind" -t "$out/" >"$work/said" || { cat "$work/said" >&2; return 1; }
  done
}

# guest STAGE ARCH: where make guest has built it.
guest() {
  if [ "$2" != "$(go env GOHOSTARCH)" ] || [ ! -e bin/guest/kernel ] || [ ! -e bin/guest/initramfs ]; then
    echo "no package consentry-guest for $2: make guest builds what is in it"
    return 0
  fi
  install -D -m 644 -t "$1/guest" bin/guest/{kernel,initramfs}
  same_times "$1/guest"
  pack "$1" "$2" packaging/linux/guest.yaml
}

# signed FILE: signs it, where there is a key.
signer() {
  [ -n "${SIGN_KEY:-}" ] || return 0
  cat >"$work/sign" <<END
#!/bin/sh -e
osslsigncode sign -certs "$(realpath "$SIGN_CERT")" -key "$(realpath "$SIGN_KEY")" -h sha256 -n Consentry -time "$SOURCE_DATE_EPOCH" \\
  -in "\$1" -out "\$1.signed" >/dev/null
mv "\$1.signed" "\$1"
END
  chmod +x "$work/sign"
}
sign() { [ ! -x "$work/sign" ] || "$work/sign" "$1"; }

windows() {
  local arch stage name define=() base
  signer
  [ ! -x "$work/sign" ] || define=("-DSIGN=$work/sign")
  for arch in ${ARCHES:-amd64}; do
    build windows "$arch" consentry consentry-agent consentry-tray
    stage=$work/windows-$arch base=$out/consentry_${VERSION}_windows_$arch
    mkdir -p "$stage"
    cp "$programs"/*.exe packaging/icons/consentry.ico "$stage"
    for name in "$stage"/*.exe; do
      tool go-winres patch --in packaging/windows/winres.json --no-backup --product-version "$number.0" --file-version "$number.0" "$name"
      sign "$name"
    done
    sbom consentry "$stage"/*.exe >"$base.spdx.json"
    same_times "$stage"
    if [ "$arch" = amd64 ]; then # arm64 runs it, the programs in it are its own
      makensis -V2 -WX "${define[@]}" "-DVERSION=$VERSION" "-DNUMBER=$number" "-DSTAGE=$stage" "-DTOASTS=$toasts" "-DOUT=$base-setup.exe" packaging/windows/consentry.nsi
    fi
    msi "$stage" "$arch" "$base.msi"
  done
}

# The class that Windows starts when a notification is answered (tray).
toasts='{9f1a6b0e-3f0c-4b56-9d55-6a1f0b7c2e41}'

# then_ COMMAND...: at the time of the source, which wixl and msibuild write down.
then_() { faketime -f "$(at '%F %T')" "$@"; }

# uuid TEXT: the same for the same text (RFC 9562, version 8).
uuid() {
  local h
  h=$(sha256sum <<<"$1")
  echo "${h:0:8}-${h:8:4}-8${h:13:3}-a${h:17:3}-${h:20:12}"
}

# msi STAGE ARCH FILE: its two identities follow from what is in it. wixl knows no
# variables of the environment and no conditions of components: they are added
# to its tables (https://learn.microsoft.com/windows/win32/msi/environment-table).
msi() {
  local sum
  sum=$(cat "$1"/* packaging/windows/consentry.wxs | sha256sum)
  if [ "$2" = arm64 ]; then
    echo "no MSI for arm64: wixl knows no such package"
    return 0
  fi
  cp packaging/windows/consentry.wxs "$1"
  (cd "$1" && then_ wixl -a x64 -D "Number=$number" -D "Product=$(uuid "product $sum")" -o "$3" consentry.wxs)
  then_ msibuild "$3" -s Consentry Consentry 'x64;1033' "{$(uuid "package $sum" | tr a-f A-F)}"
  then_ msibuild "$3" \
    -q 'CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, `Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)' \
    -q "INSERT INTO \`Environment\` (\`Environment\`, \`Name\`, \`Value\`, \`Component_\`) VALUES ('Path', '=-Path', '[~];[INSTALLDIR]', 'Cli')" \
    -q "UPDATE \`Component\` SET \`Condition\` = 'AUTOSTART = 1 AND (NOT BEFORE OR RUNS)' WHERE \`Component\` = 'AtLogin'" \
    -q "INSERT INTO \`InstallExecuteSequence\` (\`Action\`, \`Sequence\`) VALUES ('RemoveEnvironmentStrings', 3300)" \
    -q "INSERT INTO \`InstallExecuteSequence\` (\`Action\`, \`Sequence\`) VALUES ('WriteEnvironmentStrings', 5200)"
  sign "$3"
}

darwin() {
  local arch stage contents
  for arch in amd64 arm64; do
    build darwin "$arch" consentry consentry-agent consentry-tray
    stage=$work/darwin-$arch contents=$work/darwin-$arch/Consentry.app/Contents
    install -D -m 755 -t "$contents/MacOS" "$programs"/*
    install -D -m 644 -t "$contents/Resources" packaging/icons/consentry.icns
    sed "s/@NUMBER@/$number/" packaging/darwin/Info.plist >"$contents/Info.plist"
    printf 'APPL????' >"$contents/PkgInfo"
    sbom consentry "$programs"/* >"$out/consentry_${VERSION}_darwin_$arch.spdx.json"
    same_times "$stage"
    rm -f "$out/Consentry-$VERSION-$arch.zip"
    (cd "$stage" && find Consentry.app | sort | zip -X -q -@ "$out/Consentry-$VERSION-$arch.zip")
  done
}

[ $# -gt 0 ] || set -- linux windows darwin
for system in "$@"; do
  case $system in
    linux | windows | darwin) "$system" ;;
    *) echo "usage: package.sh [linux|windows|darwin ...]" >&2; exit 2 ;;
  esac
done
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum >SHA256SUMS)
cat "$out/SHA256SUMS"
