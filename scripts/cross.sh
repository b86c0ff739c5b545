#!/usr/bin/env bash
# Builds and vets every package for other systems: cross.sh OS/ARCH ...
set -euo pipefail
export CGO_ENABLED=0 GOFLAGS="-trimpath ${GOFLAGS:-}" # packages then take what is compiled here
for target in "$@"; do
  export GOOS=${target%/*} GOARCH=${target#*/}
  go build ./...
  go vet ./...
  echo "builds for $target"
done
