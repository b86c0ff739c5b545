"""A page that shows what this app was given, and what not."""
import html
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

THINGS = {
    "email": ("Your e-mail address", "http://10.0.2.2:9999/v1/user/email?purpose=to+greet+you"),
    "loopback": ("A server on your machine", "http://host.consentry.internal:8181/"),
    "internet": ("example.com", "https://example.com/"),
}
WAITING = {"result": "no answer yet", "detail": ""}
state = {name: dict(WAITING) for name in THINGS}
asking = set()
lock = threading.Lock()
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(name):
    request = urllib.request.Request(THINGS[name][1])
    if name == "email":
        request.add_header("Consentry-Request", "1")
    try:
        with direct.open(request, timeout=300) as reply:
            body = reply.read(65536).decode("utf-8", "replace")
        return "given", json.loads(body)["email"] if name == "email" else f"{len(body)} bytes"
    except urllib.error.HTTPError as err:
        if err.code == 403:
            return "refused", str(err)
        return ("no answer yet" if err.code in (408, 503) else "not reachable"), str(err)
    except OSError as err:
        reason = getattr(err, "reason", err)
        refused = isinstance(reason, ConnectionRefusedError)
        return ("refused" if refused else "not reachable"), str(reason)


def ask(name):
    result, detail = fetch(name)
    with lock:
        state[name] = {"result": result, "detail": detail}
        asking.discard(name)


def ask_all():
    with lock:
        names = [name for name in THINGS if name not in asking]
        asking.update(names)
        for name in names:
            state[name] = dict(WAITING)
    for name in names:
        threading.Thread(target=ask, args=(name,), daemon=True).start()


def page():
    with lock:
        rows = "".join(
            f"<tr><td>{THINGS[n][0]}<td><b>{s['result']}</b><td>{html.escape(s['detail'])}"
            for n, s in state.items())
    return ("<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>Consentry demo</title>"
            "<style>body{font:17px sans-serif;max-width:44em;margin:4em auto;color:#223}"
            "td{padding:.6em 1em;border-top:1px solid #ccd}button{font:inherit;padding:.4em 1em}</style>"
            f"<h1>What this app was given</h1><table>{rows}</table>"
            "<form method=post action=/ask><p><button>Ask again</button></form>")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/state":
            with lock:
                body = json.dumps({n: dict(s, done=n not in asking) for n, s in state.items()})
            self.reply("application/json", body)
        elif self.path == "/":
            self.reply("text/html; charset=utf-8", page())
        else:
            self.send_error(404)

    def do_POST(self):
        if self.path != "/ask":
            self.send_error(404)
            return
        ask_all()
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def reply(self, kind, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


ask_all()
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
