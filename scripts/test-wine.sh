#!/usr/bin/env bash
# Runs the file tests of modules, the agent's pipe, what the desktop's parts
# register, and the drivers for WSL and Hyper-V as Windows programs under Wine.
# Modules are built here: there is no compiler there.
set -euo pipefail
cd "$(dirname "$0")/.."
wine=/usr/lib/wine/wine64
work=$PWD/.cache/wine
mkdir -p "$work"

# pretend_hcs FILE: a computecore.dll that notes how it is called.
pretend_hcs() {
  printf 'LIBRARY kernel32.dll\nEXPORTS\nCreateFileW\nWriteFile\nCloseHandle\nGetEnvironmentVariableW\nLocalAlloc\nSleep\n' >"$work/kernel32.def"
  llvm-dlltool -m i386:x86-64 -d "$work/kernel32.def" -l "$work/kernel32.lib"
  clang --target=x86_64-pc-windows-msvc -fno-builtin -O2 -c vmhost/hcs/testdata/computecore.c -o "$work/computecore.obj"
  lld-link /dll /noentry /nodefaultlib "$work/computecore.obj" "$work/kernel32.lib" "/out:$1"
}

export WINEPREFIX=$work/prefix WINEARCH=win64 WINEDEBUG=-all
# Whatever still runs in our folder ends with us, an agent that was started too.
finish() { /usr/lib/wine/wineserver64 -k >/dev/null 2>&1 || true; }
finish
trap finish EXIT
scripts/wine.sh "$WINEPREFIX"

clang --target=wasm32-wasi -w -O1 -Isdk/c -o "$work/c.wasm" wasmhost/testdata/conformance.c
GOOS=wasip1 GOARCH=wasm go build -o "$work/go.wasm" ./wasmhost/testdata/conformance_go
/usr/bin/rustc --target wasm32-wasi -O -o "$work/rust.wasm" wasmhost/testdata/conformance.rs

export GOOS=windows GOARCH=amd64 CGO_ENABLED=0
go vet -tags wine ./wasmhost/... ./agent/ipc ./agent/client ./vmhost/... ./tray ./internal/autostart ./cmd/...
go test -c -tags wine -o "$work/wasmhost.exe" ./wasmhost
go test -c -o "$work/ipc.exe" ./agent/ipc
go test -c -o "$work/wsl-tests.exe" ./vmhost/wsl
go test -c -tags wine -o "$work/hcs.exe" ./vmhost/hcs
go test -c -o "$work/tray.exe" ./tray
go test -c -o "$work/autostart.exe" ./internal/autostart
go build -o "$work/" ./cmd/consentry ./cmd/consentry-agent

rm -rf "$WINEPREFIX"/drive_c/users/*/Temp/{conformance,pipe,wsl-test,hcs-test}*

# there PROGRAM ARG...: runs it under Wine.
there() { timeout 300 "$wine" "$work/$1" "${@:2}" </dev/null; }

(cd tray && there tray.exe -test.v -test.run 'Toast|Menu|Notification')
(cd internal/autostart && there autostart.exe -test.v -test.run RunKey)
(cd agent/ipc && there ipc.exe -test.v -test.run 'Pipe|Windows')
(cd vmhost/wsl && there wsl-tests.exe -test.v)
hcs=$WINEPREFIX/drive_c/windows/system32/computecore.dll
rm -f "$hcs"
(cd vmhost/hcs && there hcs.exe -test.v -test.run Absent)
pretend_hcs "$hcs"
(cd vmhost/hcs && there hcs.exe -test.v -test.run '^Test(LibraryCalls|Refusals|Boot)$')
(cd wasmhost && CONSENTRY_MODULES=Z:$work there wasmhost.exe -test.v -test.timeout 4m -test.run '^Test(Conformance|Warm)$')

# Command line and agent as two processes: it is started once, answers over the
# pipe, and refuses what it has no walls for.
# A new name each time: the key of a store is in the keychain, and outlives its folder.
export CONSENTRY_HOME=Z:$work/home-$$
rm -rf "$work"/home*
# Wine gives the first who connects to nobody: this one starts the agent, and waits in vain.
timeout 25 "$wine" "$work/consentry.exe" agent </dev/null >/dev/null 2>&1 || true
first=$(there consentry.exe version --json)
second=$(there consentry.exe version --json)
pid() { sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' <<<"$1" | head -n 1; }
[ -n "$(pid "$first")" ] && [ "$(pid "$first")" = "$(pid "$second")" ] || { echo "no agent: $first / $second" >&2; exit 1; }
rm -f "$hcs" # Wine has no Hyper-V
missing=$(there consentry.exe doctor || true)
echo "$missing"
for word in 'vm/wsl' 'wsl --install' 'vm/hcs' 'Microsoft-Hyper-V' 'start nowhere else'; do
  grep -qF "$word" <<<"$missing" || { echo "doctor does not say: $word" >&2; exit 1; }
done
there consentry-agent.exe remove-distro # nothing to remove is no fault of an uninstaller
said=$(there consentry.exe run --rm --no-input "Z:$work/c.wasm" 2>&1) && { echo "a module ran without walls: $said" >&2; exit 1; }
grep -q 'passes no open files between processes' <<<"$said" || { echo "it said: $said" >&2; exit 1; }
there consentry.exe requests
echo "the agent answers over its pipe, and runs nothing it cannot confine"
