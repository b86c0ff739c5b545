#!/usr/bin/env bash
# Makes a Windows of Wine in which Go programs run, unless it is there:
# wine.sh FOLDER
set -euo pipefail
wine=/usr/lib/wine/wine64
prefix=${1:?usage: wine.sh FOLDER}
mkdir -p "$(dirname "$prefix")"

# Wine before version 9 lacks ProcessPrng, without which no Go program begins.
prng() {
  local work
  work=$(mktemp -d)
  cat >"$work/prng.c" <<'END'
__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *, unsigned long);
int __stdcall ProcessPrng(unsigned char *to, unsigned long long size) {
  for (unsigned long n; size; to += n, size -= n) {
    n = size > 65536 ? 65536 : (unsigned long)size;
    if (!SystemFunction036(to, n)) return 0;
  }
  return 1;
}
END
  printf 'LIBRARY advapi32.dll\nEXPORTS\nSystemFunction036\n' >"$work/advapi32.def"
  llvm-dlltool -m i386:x86-64 -d "$work/advapi32.def" -l "$work/advapi32.lib"
  clang --target=x86_64-pc-windows-msvc -O2 -c "$work/prng.c" -o "$work/prng.obj"
  lld-link /dll /noentry /nodefaultlib "$work/prng.obj" "$work/advapi32.lib" /export:ProcessPrng "/out:$1"
  rm -rf "$work"
}

export WINEPREFIX=$prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='
if [ ! -d "$prefix/drive_c/windows/system32" ]; then
  echo "making a folder for Wine (once)"
  timeout 120 "$wine" wineboot -i >/dev/null 2>&1
fi
dll=$prefix/drive_c/windows/system32/bcryptprimitives.dll
[ -e "$dll" ] || prng "$dll"
