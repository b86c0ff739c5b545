#!/bin/bash
# What only a Mac can do to the bundle that scripts/package.sh made: the tray with
# its icon and the helper of microVMs (cgo), signatures, and Apple's ticket. Run it in the source tree:
#   finish.sh Consentry-1.2.3-arm64.zip "Developer ID Application: …" KEYCHAIN-PROFILE
# The profile is one of xcrun notarytool store-credentials. Nobody has run this yet.
set -euo pipefail
[ $# = 3 ] || { echo "usage: finish.sh BUNDLE.zip IDENTITY KEYCHAIN-PROFILE" >&2; exit 2; }
[ "$(uname)" = Darwin ] || { echo "finish.sh: this is no Mac" >&2; exit 1; }
zip=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ditto -xk "$zip" "$work"
app=$work/Consentry.app
programs=$app/Contents/MacOS

arch=arm64
case $zip in *amd64*) arch=amd64 ;; esac
CGO_ENABLED=1 GOOS=darwin GOARCH=$arch MACOSX_DEPLOYMENT_TARGET=13.0 \
  go build -trimpath -ldflags '-s -w' -o "$programs/" ./cmd/consentry-tray ./cmd/consentry-vz

sign() { codesign --force --timestamp --options runtime --sign "$identity" "$@"; }
identity=$2
sign "$programs/consentry"
sign "$programs/consentry-agent"
sign --entitlements packaging/darwin/entitlements.plist "$programs/consentry-vz" # no other program has it
sign "$app"
codesign --verify --deep --strict "$app"

ditto -ck --keepParent "$app" "$zip"
xcrun notarytool submit "$zip" --keychain-profile "$3" --wait
xcrun stapler staple "$app"
ditto -ck --keepParent "$app" "$zip"
