#!/usr/bin/env bash
# Formats are checked, vet and golangci-lint run. The linter is built once from
# the pinned module in tools/lint and kept.
set -euo pipefail

unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go'))
if [ -n "$unformatted" ]; then
  echo "gofmt would change:" "$unformatted" >&2
  exit 1
fi

go vet ./...

version=$(sed -n 's#.*github.com/golangci/golangci-lint/v2 \(v[0-9.]*\).*#\1#p' tools/lint/go.mod)
linter=$PWD/.cache/golangci-lint-$version
if [ ! -x "$linter" ]; then
  echo "building golangci-lint $version (some minutes, once)"
  mkdir -p .cache
  (cd tools/lint && CGO_ENABLED=0 go build -trimpath -o "$linter" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
fi
GOLANGCI_LINT_CACHE=$PWD/.cache/golangci "$linter" run ./...
echo "lint is clean"
