#!/usr/bin/env bash
# Builds and runs the demo: a wasm module, then an image with a page.
# ANSWER=allow|deny answers every question and checks what the app got.
set -euo pipefail
cd "$(dirname "$0")/.."
answer=${ANSWER:-} port=${PORT:-8080} dir=$PWD/.cache/demo
case $answer in ''|allow|deny) ;; *) echo "ANSWER is allow, deny or empty, not $answer" >&2; exit 2 ;; esac

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
if taken "$port"; then echo "port $port is taken; try: PORT=8081 make run" >&2; exit 1; fi
if taken 8181; then echo "port 8181 is taken; the demo's own small server needs it" >&2; exit 1; fi

mkdir -p "$dir"
work=$(mktemp -d)
# An agent of our own, so that yours is left alone. Socket paths hold 107 bytes.
export CONSENTRY_HOME=$dir/home
[ ${#CONSENTRY_HOME} -le 70 ] || export CONSENTRY_HOME=$work/home
rm -rf "$CONSENTRY_HOME/consent" # each demo asks anew
server='' app=''

finish() {
  local status=$? agent
  trap - EXIT INT TERM
  [ -z "$app" ] || kill "$app" 2>/dev/null || true
  agent=$(bin/consentry version --json 2>/dev/null | python3 -c 'import json,sys; print((json.load(sys.stdin)["agent"] or {}).get("pid", ""))' || true)
  [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

echo "the base image from Debian packages (built once, a minute or two)"
scripts/base.sh .cache/base.tar
rm -rf "$dir/demo-page"
go run ./tools/mkimage -o "$dir/demo-page" -layer .cache/base.tar -folder examples/demo/app=/app \
  -cmd python3,-u,/app/main.py -port 8080 -label dev.consentry.manifest=examples/demo/manifest.json
GOOS=wasip1 GOARCH=wasm go build -o "$dir/sample.wasm" ./examples/wasm-go

mkdir "$work/www"
echo 'hello from the loopback of this machine' >"$work/www/index.html"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 8181 >"$work/hits" 2>&1 &
server=$!
bin/consentry profile set email=ada@example.org

flags=()
[ -z "$answer" ] || flags=(--answer "$answer")
echo "the wasm module:"
status=0
bin/consentry run --rm "${flags[@]}" "$dir/sample.wasm" || status=$?
case $answer/$status in
  allow/0|deny/2|/*) echo "the module ended with $status" ;;
  *) echo "the module ended with $status, not as ANSWER=$answer should" >&2; exit 1 ;;
esac

# Where the kernel loads no LSM programs the demo does without that wall.
run=(bin/consentry run --rm --waive ebpf-lsm --name demo -p "$port:8080" "${flags[@]}" "$dir/demo-page")
echo "the image: http://localhost:$port"
if [ -z "$answer" ]; then "${run[@]}"; exit; fi
"${run[@]}" </dev/null & app=$!

python3 - "$answer" "$port" "$work/hits" <<'PY'
import json, sys, time, urllib.request
answer, port, hits = sys.argv[1:]
end, state = time.time() + 60, {}
while time.time() < end:
    try:
        state = json.load(urllib.request.urlopen(f"http://localhost:{port}/state", timeout=5))
        if all(s["done"] for s in state.values()):
            break
    except OSError:
        pass
    time.sleep(0.5)
for name, s in state.items():
    print(f"{name:10} {s['result']:14} {s['detail']}")
got = {name: s["result"] for name, s in state.items() if s["done"]}
hit = "GET /" in open(hits).read()
if answer == "allow":
    good = got.get("email") == "given" and got.get("loopback") == "given" and hit and len(got) == 3
else:
    good = len(got) == 3 and "given" not in got.values() and not hit # after three refusals it is not even asked
print("as it should be" if good else "NOT as it should be; the loopback server was " + ("" if hit else "not ") + "reached")
sys.exit(not good)
PY
bin/consentry stop demo >/dev/null
wait "$app" || true
app=''
