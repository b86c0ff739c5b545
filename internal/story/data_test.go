//go:build linux

package story

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// person is a user with data of every kind. What is asked of the desktop is
// noted by programs in the place of its own; agent/userdata has tests with real
// ones.
func person(w *world) (file string) {
	t := w.t
	bin := filepath.Join(w.home, "bin")
	must(t, os.Mkdir(bin, 0o755))
	for program, script := range map[string]string{
		"xdg-open": "printf %s \"$1\" > " + filepath.Join(w.home, "opened"),
		"xclip":    "printf 'copied words'",
	} {
		must(t, os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	w.restartAgent("PATH="+bin+":"+os.Getenv("PATH"), "WAYLAND_DISPLAY=", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere")
	cards, events := filepath.Join(w.home, "people.vcf"), filepath.Join(w.home, "days.ics")
	must(t, os.WriteFile(cards, []byte("BEGIN:VCARD\nVERSION:4.0\nFN:Grace\nEMAIL:grace@example.org\nEND:VCARD\nBEGIN:VCARD\nVERSION:4.0\nFN:Alan\nEMAIL:alan@example.org\nEND:VCARD\n"), 0o600))
	must(t, os.WriteFile(events, []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261101T000000Z\r\nSUMMARY:Doctor\r\nDTSTART:20261203T090000Z\r\nDTEND:20261203T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"), 0o600))
	file = filepath.Join(w.home, "letter.txt")
	must(t, os.WriteFile(file, []byte("dear reader"), 0o600))
	w.want("profile", "set", "email=ada@example.org,ada@work.example", "name=Ada")
	w.want("accounts", "add", "people", "contacts", cards)
	w.want("accounts", "add", "days", "calendar", events)
	secret := w.cli("secret", "set", "token")
	secret.Stdin = strings.NewReader("s3cr3t\n")
	w.run(secret)
	return file
}

// deal is one kind of data, what is asked, what the user says, and what comes.
type deal struct {
	name  string
	item  string   // JSON, without its braces
	allow []string // after `allow APP`; nil: nothing is allowed
	want  []string // in the answer
	never []string // nowhere in it
	http  int      // status
	errno int      // of a module
}

func deals(file string) []deal {
	const december = `"from":"2026-12-01T00:00:00Z","to":"2026-12-24T00:00:00Z"`
	return []deal{
		{name: "identity", item: `"type":"identity","fields":["email","name"]`, allow: []string{"data.identity", "email,name"}, want: []string{"ada@example.org", `"Ada"`}, http: 200},
		{name: "a part", item: `"type":"identity","fields":["email","name","avatar"]`, allow: []string{"data.identity", "*"}, want: []string{"ada@example.org", `"withheld":["avatar"]`}, http: 200},
		{name: "another address", item: `"type":"identity","fields":["email"]`, allow: []string{"data.identity", "email", "--say", "email=ada@work.example"}, want: []string{"ada@work.example"}, never: []string{"ada@example.org"}, http: 200},
		{name: "redacted", item: `"type":"identity","fields":["email","name"]`, allow: []string{"data.identity", "*", "--redact", "email,name"}, want: []string{"redacted@example.invalid"}, never: []string{"ada@", "Ada"}, http: 200},
		{name: "made up", item: `"type":"identity","fields":["email","name"]`, allow: []string{"data.identity", "*", "--made-up", "email,name"}, want: []string{"@example."}, never: []string{`"ada@`, "Ada\""}, http: 200},
		{name: "nothing there", item: `"type":"identity","fields":["avatar"]`, allow: []string{"data.identity", "avatar"}, want: []string{"problems/denied"}, http: 403, errno: 2},
		{name: "contacts", item: `"type":"contacts","fields":["name","email"]`, allow: []string{"data.contacts", "name,email"}, want: []string{"grace@example.org", "alan@example.org"}, http: 200},
		{name: "some contacts", item: `"type":"contacts","fields":["name","email"]`, allow: []string{"data.contacts", "*", "--only", "Grace"}, want: []string{"grace@example.org"}, never: []string{"alan", "Alan"}, http: 200},
		{name: "calendar", item: `"type":"calendar","fields":["start","title"],` + december, allow: []string{"data.calendar", "start,title"}, want: []string{"2026-12-03T09:00:00Z", "Doctor"}, http: 200},
		{name: "free or busy", item: `"type":"calendar","fields":["start","end","busy","title?"],` + december, allow: []string{"data.calendar", "start,end,busy,title", "--redact", "title"}, want: []string{"2026-12-03T09:00:00Z", "true"}, never: []string{"Doctor"}, http: 200},
		{name: "another range", item: `"type":"calendar","fields":["start"],` + december, allow: []string{"data.calendar", "start", "--from", "2026-12-10"}, want: []string{"problems/denied"}, http: 403, errno: 2},
		{name: "files", item: `"type":"files","fields":["content","name"]`, allow: []string{"data.files", "content,name", "--only", file}, want: []string{"letter.txt"}, never: []string{filepath.Dir(file)}, http: 200},
		{name: "clipboard", item: `"type":"clipboard","fields":["text"]`, allow: []string{"data.clipboard", "text"}, want: []string{"copied words"}, http: 200},
		{name: "secret", item: `"type":"secret","name":"token"`, allow: []string{"secret.use", "token"}, want: []string{"s3cr3t"}, http: 200},
		{name: "no such secret", item: `"type":"secret","name":"other"`, allow: []string{"secret.use", "other"}, want: []string{"problems/denied"}, http: 403, errno: 2},
		{name: "url", item: `"type":"url","url":"https://example.org/x"`, allow: []string{"url.open", "https://example.org"}, want: []string{`"granted"`}, http: 200},
		{name: "notify, and nobody shows it", item: `"type":"notify","title":"Done"`, allow: []string{"notify", "*"}, want: []string{"problems/unavailable"}, http: 503, errno: 29},
		{name: "denied", item: `"type":"clipboard","fields":["text"]`, want: []string{"problems/blocked"}, never: []string{"copied"}, http: 403, errno: 2},
		{name: "no such kind", item: `"type":"dna","fields":["all"]`, want: []string{"problems/unknown-kind"}, http: 404, errno: 58},
		{name: "malformed", item: `"type":"contacts","fields":["shoe"]`, want: []string{"problems/invalid", "shoe"}, http: 400, errno: 28},
	}
}

const dataAPI = "http://10.0.2.2:9999"

// ask has an app in an image make a request of the data API.
func (w *world) ask(app string, args ...string) string {
	w.t.Helper()
	line := append([]string{"exec", app, "curl", "-sS", "-H", "Consentry-Request: 1", "-w", "\n%{http_code}"}, args...)
	return w.want(line...)
}

func TestEveryKindOfDataForAnImage(t *testing.T) {
	w := newWorld(t)
	file := person(w)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "app", built.image, "sleep", "1000")
	w.want("run", "-d", "--quiet", "--no-input", "--name", "other", built.image, "sleep", "1000")
	for _, d := range deals(file) {
		w.result("revoke", "--app", "app")
		if d.allow != nil && d.http == 200 { // without a rule, and by a no
			body := `{"items":[{` + d.item + `}],"purpose":"to test"}`
			d.refused("blocked", 403).check(t, w.ask("app", "-d", body, dataAPI+"/v1/requests"), "403")
			w.want("deny", "app", d.allow[0], d.allow[1])
			d.refused("denied", 403).check(t, w.ask("app", "-d", body, dataAPI+"/v1/requests"), "403")
			w.want("revoke", "--app", "app")
		}
		if d.allow != nil {
			w.want(append([]string{"allow", "app"}, d.allow...)...)
		}
		out := w.ask("app", "-d", `{"items":[{`+d.item+`}],"purpose":"to test"}`, dataAPI+"/v1/requests")
		d.check(t, out, fmt.Sprint("\n", d.http))
		if d.name == "url" {
			if got, err := os.ReadFile(filepath.Join(w.home, "opened")); err != nil || string(got) != "https://example.org/x" {
				t.Errorf("opened: %q, %v", got, err)
			}
		}
		if d.name == "files" {
			readPicked(w, out)
		}
	}
	lines := w.want("log", "--json")
	for _, value := range []string{"ada@", "grace@", "Doctor", "dear reader", "copied words", "s3cr3t"} {
		if strings.Contains(lines, value) {
			t.Errorf("%q is in the ledger", value)
		}
	}
	if !strings.Contains(lines, `"target":"email,name"`) {
		t.Error("what was given is not in the ledger")
	}
	unreachable(w)
	if got := w.want("accounts") + w.want("secret"); !strings.Contains(got, "people.vcf") || !strings.Contains(got, "token") || strings.Contains(got, "s3cr3t") {
		t.Errorf("the lists: %s", got)
	}
	if r := w.result("accounts", "add", "gone", "contacts", "/nowhere.vcf"); r.code == 0 || !strings.Contains(r.err, "hint:") {
		t.Errorf("an account that is not there: %d %s", r.code, r.err)
	}
	w.want("accounts", "rm", "people")
	w.want("allow", "app", "data.contacts", "name")
	if got := w.ask("app", "-d", `{"items":[{"type":"contacts","fields":["name"]}],"purpose":"x"}`, dataAPI+"/v1/requests"); !strings.Contains(got, "problems/denied") {
		t.Errorf("without the account: %s", got)
	}
	w.want("secret", "rm", "token")
}

// refused is the deal without a yes.
func (d deal) refused(code string, status int) deal {
	return deal{name: d.name + ", " + code, want: []string{"problems/" + code + `"`}, never: append(d.want, d.never...), http: status}
}

func (d deal) check(t *testing.T, out, status string) {
	t.Helper()
	if !strings.HasSuffix(strings.TrimSpace(out), strings.TrimSpace(status)) {
		t.Errorf("%s: want %s, got %s", d.name, strings.TrimSpace(status), out)
	}
	for _, text := range d.want {
		if !strings.Contains(out, text) {
			t.Errorf("%s: no %q in %s", d.name, text, out)
		}
	}
	for _, text := range d.never {
		if strings.Contains(out, text) {
			t.Errorf("%s: %q in %s", d.name, text, out)
		}
	}
}

// readPicked reads a file behind its handle, in two pieces; another app cannot,
// and nobody once the grant is taken back.
func readPicked(w *world, out string) {
	_, handle, _ := strings.Cut(out, `"content":"`)
	handle, _, _ = strings.Cut(handle, `"`)
	url := dataAPI + "/v1/files/" + handle
	if got := w.ask("app", url) + w.ask("app", "-r", "5-", url); got != "dear reader\n200reader\n206" && got != "dear reader\n200\nreader\n206\n" {
		w.t.Errorf("the file: %q", got)
	}
	if got := w.ask("other", url); !strings.Contains(got, "404") || strings.Contains(got, "dear") {
		w.t.Errorf("another app: %s", got)
	}
	w.want("revoke", "--app", "app")
	if got := w.ask("app", url); !strings.Contains(got, "403") || strings.Contains(got, "dear") {
		w.t.Errorf("taken back: %s", got)
	}
}

// unreachable: the data API of a running app is nowhere but on its own wire.
func unreachable(w *world) {
	for _, netns := range []string{w.machine, w.rest} {
		if r := w.command(netns, "curl", "-sS", "-m", "2", "-H", "Consentry-Request: 1", dataAPI+"/v1/kinds").wait(); r.code == 0 {
			w.t.Errorf("from outside: %s", r.out)
		}
	}
}

func TestEveryKindOfDataForAModule(t *testing.T) {
	w := newWorld(t)
	file := person(w)
	module := askModule(t)
	run := func(hold string, args ...string) *running {
		return w.start(append([]string{"run", "--rm", "--quiet", hold, "--name", "app", module}, args...)...)
	}
	for _, d := range deals(file) {
		kind, item := d.module()
		w.result("revoke", "--app", module)
		if d.allow != nil && d.http == 200 { // without a rule, and by a no
			refused := deal{name: d.name + ", refused", never: append(d.want, d.never...)}
			refused.check(t, run("--no-input", kind, item).wait().out, "errno 2")
			w.want("deny", module, d.allow[0], d.allow[1])
			refused.check(t, run("--no-input", kind, item).wait().out, "errno 2")
			w.want("revoke", "--app", module)
		}
		if d.allow != nil {
			w.want(append([]string{"allow", module}, d.allow...)...)
		}
		if d.errno != 0 {
			d.want = nil
		}
		if d.name == "url" {
			d.want = nil
		}
		r := run("--no-input", kind, item).wait()
		status := ""
		if d.errno != 0 {
			status = fmt.Sprintf("errno %d", d.errno)
		} else if strings.Contains(r.out, "errno") && d.name != "files" {
			t.Errorf("%s: %s", d.name, r.out)
		}
		d.check(t, r.out, status)
		if d.name == "files" && !strings.Contains(r.out, "file: dear reader, errno 0") {
			t.Errorf("the file: %s", r.out)
		}
	}
	// Nobody answers: each kind once.
	w.result("revoke", "--app", module)
	asked := map[string]*running{}
	for _, d := range deals(file) {
		if kind, item := d.module(); d.http == 200 && asked[kind] == nil {
			asked[kind] = w.start("run", "--rm", "--quiet", "--hold", "1s", module, kind, item)
		}
	}
	for kind, r := range asked {
		if got := r.wait(); got.out != "errno 6\n" {
			t.Errorf("%s, and nobody answers: %s%s", kind, got.out, got.err)
		}
	}
	// The answer that a module keeps goes when the grant does.
	w.result("revoke", "--app", module)
	w.want("allow", module, "data.clipboard", "text")
	app := w.cli("run", "--rm", "--quiet", "--no-input", "-i", module, "clipboard", `{"fields":["text"],"purpose":"x","retain":"run"}`, "twice")
	in, err := app.StdinPipe()
	must(t, err)
	r := w.running(app)
	w.until("the first answer is here", func() bool { return strings.Contains(r.out.String(), "copied words") })
	w.want("revoke", "--app", module)
	time.Sleep(time.Second)
	fmt.Fprintln(in)
	in.Close()
	if got := r.wait(); strings.Count(got.out, "copied words") != 1 || !strings.Contains(got.out, "errno 2") {
		t.Errorf("after it was taken back: %s", got.out)
	}
}

// module is the item as a module asks for it.
func (d deal) module() (kind, item string) {
	_, rest, _ := strings.Cut(d.item, `"type":"`)
	kind, rest, _ = strings.Cut(rest, `"`)
	return kind, `{"purpose":"to test"` + rest + `}`
}

func askModule(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("needs wasi-libc: run make deps")
	}
	out := filepath.Join(t.TempDir(), "ask.wasm")
	cmd := exec.Command("clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-I../../sdk/c", "-o", out, "testdata/ask/main.c")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// What the user says to a question, and when there is no answer.
func TestAnswersToQuestionsAboutData(t *testing.T) {
	w := newWorld(t)
	file := person(w)
	w.want("run", "-d", "--quiet", "--hold", "1s", "--name", "app", built.image, "sleep", "1000")
	body := func(item string) []string {
		return []string{"exec", "app", "curl", "-sS", "-m", "60", "-H", "Consentry-Request: 1", "-w", "\n%{http_code}", "-d", `{"items":[{` + item + `}],"purpose":"to test"}`, dataAPI + "/v1/requests"}
	}
	identity := body(`"type":"identity","fields":["email","name"]`)
	if got := w.want(identity...); !strings.HasSuffix(strings.TrimSpace(got), "503") || !strings.Contains(got, "problems/timeout") {
		t.Errorf("nobody answers: %s", got)
	}
	// The late yes counts for the next try, once, and is shaped.
	w.want("allow", w.request("email,name").ID, "--once", "--redact", "name")
	if got := w.want(identity...); !strings.Contains(got, "ada@example.org") || strings.Contains(got, `"Ada"`) {
		t.Errorf("a late yes: %s", got)
	}
	if got := w.want(identity...); !strings.Contains(got, "problems/timeout") {
		t.Errorf("after once: %s", got)
	}
	w.want("deny", w.request("email,name").ID, "--always")
	if got := w.want(identity...); !strings.Contains(got, "problems/denied") {
		t.Errorf("after a no: %s", got)
	}
	files := body(`"type":"files","fields":["content","name"]`)
	w.want(files...)
	id := w.request("content,name").ID
	if r := w.result("allow", id, "--once"); r.code == 0 || !strings.Contains(r.err, "--only") {
		t.Errorf("a yes to no file: %d %s", r.code, r.err)
	}
	w.want("allow", id, "--always", "--only", file)
	if got := w.want(files...); !strings.Contains(got, "letter.txt") {
		t.Errorf("the file: %s", got)
	}
	for range 3 { // a long-poll ends when the grant is taken back
		w.want("allow", "app", "data.clipboard", "text")
		out := w.ask("app", "-H", "Prefer: wait=20", "-D", "-", "-d", `{"items":[{"type":"clipboard","fields":["text"]}],"purpose":"x"}`, dataAPI+"/v1/requests")
		_, id, _ := strings.Cut(out, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		poll := w.start("exec", "app", "curl", "-sS", "-H", "Consentry-Request: 1", "-H", `If-None-Match: "1"`, "-H", "Prefer: wait=60", "-w", "\n%{http_code}", dataAPI+"/v1/requests/"+id)
		time.Sleep(500 * time.Millisecond)
		began := time.Now()
		for _, g := range w.grants() {
			if g.Kind == "data.clipboard" {
				w.want("revoke", g.ID)
			}
		}
		r := poll.wait()
		if took := time.Since(began); !strings.Contains(r.out, fmt.Sprint(http.StatusForbidden)) || strings.Contains(r.out, "copied") || took > 10*time.Second {
			t.Errorf("the long-poll after %s: %s", took, r.out)
		}
	}
}

// Slow requests, and as many as an app can open, are in nobody's way but its own.
func TestAFloodOfTheDataAPIHarmsItsAppOnly(t *testing.T) {
	w := newWorld(t)
	w.want("profile", "set", "email=ada@example.org")
	for _, app := range []string{"flood", "other"} {
		w.want("run", "-d", "--quiet", "--hold", "5m", "--name", app, built.image, "sleep", "1000")
	}
	w.want("allow", "other", "data.identity", "email")
	flood := w.start("exec", "flood", "python3", "-c", `import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
slow = b"POST /v1/requests HTTP/1.1\r\nHost: 10.0.2.2:9999\r\n"
body = b'{"items":[{"type":"clipboard","fields":["text"]}],"purpose":"x"}'
asks = slow + b"Consentry-Request: 1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
held = []
for n in range(10000):
    s = socket.socket(); s.settimeout(2)
    try: s.connect(("10.0.2.2", 9999)); s.send((slow, asks + body[:9], asks + body)[n % 3])
    except OSError: continue
    held.append(s)
print("open", len(held), flush=True)
sys.stdin.read()`)
	answered := 0
	ask := func() {
		began := time.Now()
		got := w.ask("other", "-m", "20", dataAPI+"/v1/user/email?purpose=x")
		if !strings.Contains(got, "ada@example.org") {
			t.Errorf("the other app: %s", got)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the other app waited %s", took)
		}
		answered++
	}
	w.untilWithin(6, "the flood is open", func() bool {
		ask()
		return strings.Contains(flood.out.String(), "open ")
	})
	ask()
	if r := w.result("requests", "--json"); r.code != 0 || r.took > 10*time.Second {
		t.Errorf("the user cannot see what waits: %d after %s", r.code, r.took)
	}
	t.Logf("%s; the other app was answered %d times meanwhile", strings.TrimSpace(flood.out.String()), answered)
	flood.cmd.Process.Kill()
	flood.wait()
}

// A secret that is kept for a place goes there in the app's requests, and the
// app never has it: an image by /v1/to, with the certificates of the machine.
func TestASecretThatTheAppNeverHas(t *testing.T) {
	w := newWorld(t)
	cert := filepath.Join(w.home, "cert.pem")
	writeCertificate(t, cert, filepath.Join(w.home, "key.pem"))
	self, err := os.Executable()
	must(t, err)
	w.daemon(w.rest, []string{"STORY_TLS=" + w.hits, "STORY_PAIR=" + w.home}, self)
	w.restartAgent("SSL_CERT_FILE=" + cert)
	secret := w.cli("secret", "set", "token", "--for", "https://"+registryName)
	secret.Stdin = strings.NewReader("s3cr3t\n")
	w.run(secret)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "app", built.image, "sleep", "1000")
	w.want("allow", "app", "secret.use", "token")
	w.want("allow", "app", "net.connect", "tcp/"+registryName+":443")
	w.want("allow", "app", "net.connect", "tcp/"+webName+":443")
	out := w.ask("app", "-d", `{"items":[{"type":"secret","name":"token"}],"purpose":"to test"}`, dataAPI+"/v1/requests")
	_, handle, _ := strings.Cut(out, `"handle":"`)
	handle, _, _ = strings.Cut(handle, `"`)
	if handle == "" || strings.Contains(out, "s3cr3t") {
		t.Fatalf("the secret: %s", out)
	}
	sent := func() string { raw, _ := os.ReadFile(w.hits + ".auth"); return string(raw) }
	to := func(host string) string {
		return w.ask("app", "-H", "Authorization: Bearer "+handle, dataAPI+"/v1/to/"+host+"/v1/models")
	}
	w.until("the place answers", func() bool { out = to(registryName); return strings.Contains(out, "page of "+registryName) })
	if !strings.HasSuffix(strings.TrimSpace(out), "200") || !strings.Contains(sent(), "Bearer s3cr3t\n") {
		t.Errorf("%s; the place got %q", out, sent())
	}
	before := sent()
	if out := to(webName); !strings.Contains(out, "problems/denied") || sent() != before {
		t.Errorf("another place: %s; it got %q", out, strings.TrimPrefix(sent(), before))
	}
	w.want("revoke", "--app", "app")
	w.want("allow", "app", "net.connect", "tcp/"+registryName+":443")
	if out := to(registryName); !strings.Contains(out, "problems/denied") || sent() != before {
		t.Errorf("taken back: %s", out)
	}
	if lines := w.want("log", "--json"); strings.Contains(lines, "s3cr3t") {
		t.Error("the secret is in the ledger")
	}
}
