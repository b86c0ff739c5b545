# The two that matter: `make run` and `make test`. Both install what they lack.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

CACHE   := .cache
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
CROSS   := windows/amd64 windows/arm64 darwin/amd64 darwin/arm64
# One C compiler serves -race only; nothing that ships is built with cgo.
PARALLEL ?= 2
ANSWER   ?=

.PHONY: help run build clean
.PHONY: check check-cross check-darwin test test-host test-long test-lsm test-wine unit
.PHONY: bench bench-data bench-launch bench-net bench-oci bench-openclaw bench-wasm
.PHONY: deps deps-demo guest kernel kernels

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

deps: ## install what `make test` needs and this machine lacks (apt)
	@scripts/deps.sh test

deps-demo:
	@scripts/deps.sh demo

build: ## build bin/consentry and what lies beside it
	@mkdir -p bin
	@if [ -d cmd/consentry ]; then \
	  CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/* && scripts/attack.sh && \
	  echo "built bin/consentry $(VERSION)"; \
	else echo "no cmd/consentry in this tree, nothing to build"; fi

package: ## make packages for Linux, Windows and macOS in dist/ (VERSION=1.2.3; SIGN_CERT and SIGN_KEY sign those of Windows)
	@scripts/deps.sh package
	@scripts/package.sh

run: deps-demo build ## run the demo: an image and a wasm module (ANSWER=allow|deny runs it without a person)
	@ANSWER='$(ANSWER)' scripts/demo.sh

test: deps build kernels check-cross check-darwin unit ## everything that can run on this machine

guest: ## build what a microVM boots: bin/guest/kernel and initramfs (ARCH=x86_64 or arm64; the kernel: ten minutes, once)
	@scripts/guest.sh $(ARCH)

unit:
	@scripts/unit.sh $(PARALLEL)

test-lsm: deps kernels ## the LSM programs and the host behind them, in QEMU, on two kernels
	@CONSENTRY_LSM=1 go test -p 1 -timeout 30m -run 'LSM|WithoutBPF' ./linuxhost/bpf ./linuxhost/bpfd ./linuxhost ./attack

test-wine: ## the file tests of modules, and the agent's pipe, as Windows programs under Wine (amd64)
	@scripts/deps.sh wine
	@scripts/test-wine.sh

test-host: ## boot microVMs on this machine, and an app in one (Linux: root; macOS and Windows: docs/hosts.md)
	@go test -tags hosttest -v -timeout 30m ./vmhost/hosttest

bench-launch: build ## compare the start of a sandbox with bwrap, crun and runc (root)
	@scripts/deps.sh bench
	@CGO_ENABLED=0 go build -o bin/bench-launch ./bench/launch
	@bin/bench-launch
	@bin/bench-launch -rounds 20 -heap 1024 -whole "" -cli ""
	@bin/bench-launch -at-once 100
	@bin/bench-launch -calls 9

test-long: deps build kernels ## the long variants of tests as well (an hour or more)
	@scripts/deps.sh long
	@CONSENTRY_LONG=1 TEST_TIMEOUT=90m scripts/unit.sh $(PARALLEL)

bench: bench-launch bench-oci bench-net bench-wasm bench-data bench-openclaw ## all benchmarks beside their peers (root; half an hour; docs/benchmarks.md)

bench-wasm: ## compare running WebAssembly with wazero, Node and wasmtime (two minutes)
	@scripts/bench-wasm.sh

bench-data: ## measure what an app waits for data that were granted (root)
	@scripts/deps.sh bench
	@go run ./bench/data

bench-net: ## compare the router with other user-mode networks (root; minutes)
	@scripts/bench-net.sh

bench-oci: ## compare pulling images with skopeo+umoci, podman and containerd (root; minutes)
	@scripts/bench-oci.sh

bench-openclaw: build ## compare the start of OpenClaw with a bare chroot and podman (root; minutes)
	@scripts/bench-openclaw.sh

kernels: ## fetch what tests need of other releases: kernels that QEMU boots, a parser of AppArmor profiles
	@scripts/kernels.sh
	@scripts/apparmor.sh

kernel: ## build the guest's kernel from Debian's source (ARCH=x86_64 or arm64; ten minutes, once)
	@scripts/guest-kernel.sh $(or $(ARCH),x86_64)

check-cross:
	@scripts/cross.sh $(CROSS)

check-darwin: ## type-check the macOS code, cgo included
	@for arch in arm64 amd64; do go run ./tools/darwincheck -goarch $$arch -tests ./...; done

check: ## lint
	@scripts/lint.sh

clean: ## remove what was built and fetched
	@rm -rf bin $(CACHE)
