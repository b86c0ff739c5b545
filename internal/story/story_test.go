//go:build linux

package story

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// request waits for the one request in the inbox that names target.
func (w *world) request(target string) api.Prompt {
	w.t.Helper()
	var found api.Prompt
	w.until("a request for "+target+" is in the inbox", func() bool {
		found = w.waiting(target)
		return found.ID != ""
	})
	return found
}

// waiting is the request in the inbox that names target, if it is there.
func (w *world) waiting(target string) api.Prompt {
	for _, p := range w.inbox() {
		if p.Target == target {
			return p
		}
	}
	return api.Prompt{}
}

func (w *world) inbox() (list []api.Prompt) {
	if json.Unmarshal([]byte(w.result("requests", "--json").out), &list) != nil {
		return nil
	}
	return list
}

func (w *world) grants() []api.Grant {
	w.t.Helper()
	var list []api.Grant
	must(w.t, json.Unmarshal([]byte(w.result("grants", "--json").out), &list))
	return list
}

// curl runs curl in an app made from the image source.
func (w *world) curl(source string, flags []string, args ...string) *running {
	w.t.Helper()
	line := append([]string{"run", "--rm", "--quiet"}, flags...)
	line = append(append(line, source, "curl", "-4sS"), args...)
	return w.start(line...)
}

const webTarget = "tcp/" + webName + ":80"

func TestAnImageFromARegistryIsAskedAboutTheNetwork(t *testing.T) {
	w := newWorld(t)
	const source = "127.0.0.1:5000/demo/web:1"
	w.registry(source)

	if r := w.result("pull", "127.0.0.1:5000/demo/none:1"); r.code == 0 || !strings.Contains(r.err, "hint") {
		t.Errorf("a pull of nothing: exit %d, %s", r.code, r.err)
	}

	t.Run("deny", func(t *testing.T) {
		app := w.curl(source, nil, "http://"+webName+"/")
		p := w.request(webTarget)
		if w.reached() != 0 {
			t.Fatal("something reached the server before the answer")
		}
		if r := w.result("deny", p.ID, "--once"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := app.wait(); r.code != 7 || w.reached() != 0 {
			t.Fatalf("curl's exit %d (7 is refused), %d connections reached the server: %s", r.code, w.reached(), r.err)
		}
	})
	t.Run("allow", func(t *testing.T) {
		app := w.curl(source, nil, "http://"+webName+"/")
		p := w.request(webTarget)
		time.Sleep(time.Second) // the user thinks; curl hangs
		if r := w.result("allow", p.ID, "--once"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := app.wait(); r.code != 0 || r.out != "page of "+webName+"\n" || r.took < time.Second {
			t.Fatalf("exit %d after %s: %q %s", r.code, r.took, r.out, r.err)
		}
		if len(w.grants()) != 0 {
			t.Errorf("once left a rule: %+v", w.grants())
		}
	})
	t.Run("always, also over a kill of the agent", func(t *testing.T) {
		app := w.curl(source, nil, "http://"+webName+"/")
		if r := w.result("allow", w.request(webTarget).ID, "--always"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := app.wait(); r.code != 0 {
			t.Fatal(r.err)
		}
		must(t, w.agent.Process.Signal(syscall.SIGKILL))
		w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
		w.startAgent()
		if r := w.curl(source, []string{"--no-input"}, "http://"+webName+"/").wait(); r.code != 0 || !strings.Contains(r.out, webName) {
			t.Fatalf("asked again: exit %d %s", r.code, r.err)
		}
		if r := w.result("log", "verify"); r.code != 0 {
			t.Errorf("the ledger: %s%s", r.out, r.err)
		}
	})
	t.Run("revoke cuts what is open", func(t *testing.T) {
		app := w.curl(source, []string{"--no-input"}, "-o", "/dev/null", "http://"+webName+"/slow")
		before := w.reached()
		w.until("the download runs", func() bool { return w.reached() > before })
		time.Sleep(300 * time.Millisecond)
		began := time.Now()
		if r := w.result("revoke", "--all"); r.code != 0 {
			t.Fatal(r.err)
		}
		r := app.wait()
		if took := time.Since(began); r.code == 0 || took > time.Second {
			t.Fatalf("the download ended with %d, %s after the grant was taken back", r.code, took)
		}
	})
}

// agentPID is the process of the agent, 0 when there is none.
func (w *world) agentPID() int {
	if w.agent.ProcessState != nil {
		return 0
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(w.agent.Process.Pid, &status, syscall.WNOHANG, nil)
	if err != nil || pid == w.agent.Process.Pid {
		return 0
	}
	return w.agent.Process.Pid
}

// registry starts Debian's registry with a password and pushes the image.
func (w *world) registry(source string) {
	w.t.Helper()
	htpasswd := filepath.Join(w.home, "htpasswd")
	w.run(exec.Command("htpasswd", "-Bbc", htpasswd, "ada", "secret"))
	config := fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:5000"}
auth: {htpasswd: {realm: story, path: %s}}
`, filepath.Join(w.home, "registry"), htpasswd)
	path := filepath.Join(w.home, "registry.yml")
	must(w.t, os.WriteFile(path, []byte(config), 0o600))
	w.daemon(w.machine, nil, "docker-registry", "serve", path)
	var out []byte
	w.until("the image is pushed", func() bool {
		var err error
		out, err = w.in(w.machine, "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
			"--dest-creds=ada:secret", "oci:"+built.image, "docker://"+source).CombinedOutput()
		if err != nil {
			time.Sleep(300 * time.Millisecond)
		}
		return err == nil
	})
	if r := w.result("pull", source); r.code == 0 || !strings.Contains(r.err, "docker login") {
		w.t.Errorf("a pull without the password: exit %d, %s %s", r.code, r.err, out)
	}
	const auth = `{"auths":{"127.0.0.1:5000":{"auth":"YWRhOnNlY3JldA=="}}}` // ada:secret
	must(w.t, os.WriteFile(filepath.Join(w.home, "config.json"), []byte(auth), 0o600))
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	r := w.curl(built.image, []string{"--hold", "1s"}, "http://"+webName+"/").wait()
	if r.code != 7 || w.reached() != 0 || r.took < time.Second {
		t.Fatalf("exit %d after %s, %d connections", r.code, r.took, w.reached())
	}
	if len(w.grants()) != 0 {
		t.Fatalf("no answer wrote a rule: %+v", w.grants())
	}
	p := w.request(webTarget)
	if p.Live {
		t.Error("the request is said to be live though its app has gone")
	}
	if r := w.result("allow", p.ID, "--always"); r.code != 0 {
		t.Fatal(r.err)
	}
	if r := w.curl(built.image, []string{"--no-input"}, "http://"+webName+"/").wait(); r.code != 0 {
		t.Fatalf("the late yes did not count: %s", r.err)
	}
}

func TestNothingOfTheHostIsInside(t *testing.T) {
	w := newWorld(t)
	secret := filepath.Join(w.home, "canary")
	must(t, os.WriteFile(secret, []byte("host secret"), 0o644))
	abstract, err := net.Listen("unix", "@"+w.machine)
	must(t, err)
	defer abstract.Close()
	look := fmt.Sprintf(`
import os, socket, json
def tries(f):
    try: f(); return "ok"
    except OSError as e: return e.strerror
s = socket.socket(socket.AF_UNIX)
print(json.dumps({
  "canary": os.path.exists(%q),
  "socket": os.path.exists(%q),
  "processes": len([p for p in os.listdir("/proc") if p.isdigit()]),
  "interfaces": sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else ["eth0","lo"],
  "abstract": tries(lambda: s.connect("\0" + %q)),
  "mount": tries(lambda: os.mkdir("/proc/sys/x")),
  "fds": sorted(os.readlink("/proc/self/fd/"+f) for f in os.listdir("/proc/self/fd") if int(f) > 2 and os.path.islink("/proc/self/fd/"+f)),
}))`, secret, filepath.Join(w.home, "run", "agent.sock"), w.machine)
	r := w.result("run", "--rm", "--quiet", built.image, "python3", "-c", look)
	var saw struct {
		Canary, Socket  bool
		Processes       int
		Interfaces, FDs []string
		Abstract, Mount string
	}
	if err := json.Unmarshal([]byte(r.out), &saw); err != nil {
		t.Fatalf("exit %d: %v: %s%s", r.code, err, r.out, r.err)
	}
	if saw.Canary || saw.Socket || saw.Processes > 3 || len(saw.FDs) > 1 {
		t.Errorf("the app saw %+v", saw)
	}
	if got := strings.Join(saw.Interfaces, " "); got != "eth0 lo" {
		t.Errorf("interfaces %s", got)
	}
	if saw.Abstract == "ok" || saw.Mount == "ok" {
		t.Errorf("the app could: connect to an abstract socket of the host: %s; write /proc/sys: %s", saw.Abstract, saw.Mount)
	}
}

func TestNotAFormatWeTake(t *testing.T) {
	w := newWorld(t)
	before := listing(t, w.home)
	elf, err := os.Executable()
	must(t, err)
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for name, c := range map[string]struct{ source, want string }{
		"ELF":            {elf, "ELF"},
		"zip":            {file("a.zip", "PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "zip"},
		"component":      {file("a.wasm", "\x00asm\x0d\x00\x01\x00"), "component"},
		"not wasm":       {file("b.wasm", "hello"), "WebAssembly"},
		"truncated wasm": {file("c.wasm", "\x00asm\x01\x00\x00\x00\x01\xff"), "c.wasm"},
		"truncated tar":  {truncatedTar(t), "trunc"},
		"wrong digest":   {wrongDigest(t), "digest"},
		"nothing":        {filepath.Join(w.home, "none"), "no such file"},
	} {
		r := w.result("run", "--rm", "--quiet", c.source)
		if r.code != 125 && r.code != 127 && r.code != 1 || !strings.Contains(r.err, c.want) {
			t.Errorf("%s: exit %d, want %q in: %s", name, r.code, c.want, r.err)
		}
		if name == "ELF" && (!strings.Contains(r.err, "OCI") || !strings.Contains(r.err, "WebAssembly")) {
			t.Errorf("%s: the two formats are not named: %s", name, r.err)
		}
	}
	if after := listing(t, w.home); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// listing is what the stores hold, without the database files.
func listing(t *testing.T, home string) string {
	t.Helper()
	var names []string
	for _, dir := range []string{"images", "modules", "runs"} {
		must(t, filepath.WalkDir(filepath.Join(home, dir), func(path string, _ os.DirEntry, err error) error {
			names = append(names, strings.TrimPrefix(path, home))
			return err
		}))
	}
	return strings.Join(names, "\n")
}

func truncatedTar(t *testing.T) string {
	t.Helper()
	whole, err := exec.Command("tar", "-C", built.image, "-cf", "-", ".").Output()
	must(t, err)
	path := filepath.Join(t.TempDir(), "trunc.tar")
	must(t, os.WriteFile(path, whole[:len(whole)/2], 0o600))
	return path
}

// wrongDigest is a layout whose manifest was changed after it was named.
func wrongDigest(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	must(t, os.CopyFS(dir, os.DirFS(built.image)))
	var index struct {
		Manifests []struct{ Digest string }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	must(t, json.Unmarshal(raw, &index))
	blob := filepath.Join(dir, "blobs", strings.Replace(index.Manifests[0].Digest, ":", "/", 1))
	text, err := os.ReadFile(blob)
	must(t, err)
	must(t, os.WriteFile(blob, []byte(strings.Replace(string(text), `"size":`, `"sizE":`, 1)), 0o600))
	return dir
}

func TestThePageIsAtLocalhostOnly(t *testing.T) {
	w := newWorld(t)
	if r := w.result("run", "-d", "--quiet", "--name", "web", "-p", "8080:8000", built.image); r.code != 0 {
		t.Fatal(r.err)
	}
	get := func(netns, url string) error {
		return w.in(netns, "curl", "-sSf", "-g", "-m", "3", "-o", "/dev/null", url).Run()
	}
	w.until("the page answers", func() bool { return get(w.machine, "http://localhost:8080/") == nil })
	if err := get(w.machine, "http://[::1]:8080/"); err != nil {
		t.Errorf("::1: %v", err)
	}
	for _, from := range []string{w.machine, w.rest} {
		if get(from, "http://"+machineAddr+":8080/") == nil {
			t.Errorf("the page answers at %s, seen from %s", machineAddr, from)
		}
	}
	if r := w.result("run", "-d", "--quiet", "-p", "8080:8000", built.image); r.code == 0 || !strings.Contains(r.err, "hint") {
		t.Errorf("a port that is taken: exit %d, %s", r.code, r.err)
	}
	t.Run("in a browser", func(t *testing.T) {
		browser, err := exec.LookPath("chromium")
		if err != nil {
			t.Skip("needs chromium: run make deps")
		}
		out, err := w.in(w.machine, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
			"--virtual-time-budget=5000", "--dump-dom", "http://localhost:8080/").Output()
		if err != nil || !strings.Contains(string(out), "Directory listing") {
			t.Errorf("chromium shows %q, %v", out, err)
		}
	})
	if r := w.result("stop", "web"); r.code != 0 || get(w.machine, "http://localhost:8080/") == nil {
		t.Errorf("stop: exit %d, or the page still answers: %s", r.code, r.err)
	}
}

func TestFilesInAndOut(t *testing.T) {
	w := newWorld(t)
	in := w.cli("run", "--rm", "--quiet", "-i", built.image, "cat")
	in.Stdin = strings.NewReader(strings.Repeat("line\n", 100_000))
	if out, err := in.Output(); err != nil || len(out) != 500_000 {
		t.Errorf("cat gave %d bytes, %v", len(out), err)
	}
	folder := filepath.Join(t.TempDir(), "project")
	must(t, os.Mkdir(folder, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "f"), []byte("of the host\n"), 0o644))
	const change = "cat /share/project/f; echo changed >/share/project/f"
	if r := w.result("run", "--rm", "--quiet", "--share", folder, built.image, "sh", "-c", change); r.code == 0 || r.out != "of the host\n" {
		t.Errorf("a share is read-only: exit %d %q", r.code, r.out)
	}
	if raw, err := os.ReadFile(filepath.Join(folder, "f")); err != nil || string(raw) != "of the host\n" {
		t.Errorf("the host's file is %q, %v", raw, err)
	}
	w.result("run", "--rm", "--quiet", "--share", folder+":rw", built.image, "sh", "-c", change)
	if raw, err := os.ReadFile(filepath.Join(folder, "f")); err != nil || string(raw) != "changed\n" {
		t.Errorf("with :rw it is %q, %v", raw, err)
	}
	w.result("run", "--rm", "--quiet", "--user", "1000:1000", "-v", "notes:/v", built.image, "sh", "-c", "echo kept >/v/x")
	if r := w.result("run", "--rm", "--quiet", "-v", "notes:/v", built.image, "cat", "/v/x"); r.out != "kept\n" {
		t.Errorf("the volume holds %q for the next app: %s", r.out, r.err)
	}
}
