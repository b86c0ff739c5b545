//go:build linux

package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
)

// ends runs a script in a new app, to its end.
func (w *world) ends(name, script string, flags ...string) {
	w.t.Helper()
	line := append([]string{"run", "--quiet", "--name", name}, flags...)
	if r := w.result(append(line, built.image, "sh", "-c", script)...); r.code != 0 {
		w.t.Fatalf("exit %d: %s", r.code, r.err)
	}
}

func (w *world) good(args ...string) string {
	w.t.Helper()
	r := w.result(args...)
	if r.code != 0 {
		w.t.Fatalf("%v: exit %d: %s", args, r.code, r.err)
	}
	return r.out
}

// again starts a run that has ended and waits for its end; out is what it wrote.
func (w *world) again(name string) (out string) {
	w.t.Helper()
	before := len(w.result("logs", name).out)
	w.good("start", name)
	w.until("it has ended", func() bool { return w.inspect(name).State == api.Exited })
	return w.result("logs", name).out[before:]
}

// TestWhatAnAppChanged: diff names it, a snapshot brings it back, and what was
// removed of the image is there again.
func TestWhatAnAppChanged(t *testing.T) {
	w := newWorld(t)
	const script = `cat /srv/n 2>/dev/null; ls /etc/passwd 2>&1 | tail -c 30; stat -c %u:%g:%a /srv/mine 2>/dev/null; ` +
		`if [ ! -e /srv/n ]; then mkdir /srv/d; echo one >/srv/n; echo x >/srv/mine; chown 33:34 /srv/mine; chmod 640 /srv/mine; else echo two >/srv/n; rm /etc/passwd; rm -r /srv/d; fi`
	w.ends("app", script)
	want := "C /srv\nA /srv/d\nA /srv/mine\nA /srv/n\n"
	if got := w.good("diff", "app"); got != want {
		t.Errorf("diff says %q, want %q", got, want)
	}
	w.good("snapshot", "create", "app", "first")
	w.again("app")
	want = "D /etc/passwd\nD /srv/d\nC /srv/n\n"
	if got := w.good("snapshot", "diff", "app", "first"); strings.ReplaceAll(got, "C /etc\n", "") != want && strings.ReplaceAll(got, "A /etc\n", "") != want {
		t.Errorf("since the snapshot: %q, want %q", got, want)
	}
	if got := w.good("diff", "app"); !strings.Contains(got, "D /etc/passwd\n") {
		t.Errorf("diff says %q", got)
	}
	w.good("snapshot", "restore", "app", "first")
	if got := w.again("app"); got != "one\n/etc/passwd\n33:34:640\n" {
		t.Errorf("after the restore the app sees %q", got)
	}
	if got := w.good("snapshot", "ls", "app", "--json"); !strings.Contains(got, `"name": "first"`) {
		t.Errorf("ls: %s", got)
	}
	w.good("snapshot", "rm", "app", "first")
}

// TestCopy: files come out of an app and go into it, while it runs too, and links
// of the app lead nowhere.
func TestCopy(t *testing.T) {
	w := newWorld(t)
	w.ends("app", "mkdir -p /srv/out; echo hello >/srv/out/f; ln -sf /etc/shadow /srv/out/l; ln -sf f /srv/out/in; echo v >/vol/v; cat /etc/in.conf /vol/in.conf 2>/dev/null; true", "-v", "vol:/vol")
	dir := filepath.Join(w.home, "got")
	r := w.result("cp", "app:/srv/out", dir)
	if r.code != 0 || !strings.Contains(r.err, "left out: got/l") {
		t.Errorf("out: exit %d, %s", r.code, r.err)
	}
	for _, file := range []string{"f", "in"} {
		if raw, err := os.ReadFile(filepath.Join(dir, file)); string(raw) != "hello\n" {
			t.Errorf("%s: %q, %v", file, raw, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "l")); !os.IsNotExist(err) {
		t.Error("a link to the host's files came out")
	}
	w.good("cp", "app:/vol/v", dir)
	if raw, err := os.ReadFile(filepath.Join(dir, "v")); string(raw) != "v\n" {
		t.Errorf("of a volume: %q, %v", raw, err)
	}
	conf := filepath.Join(w.home, "my.conf")
	must(t, os.WriteFile(conf, []byte("mine\n"), 0o644))
	w.good("cp", conf, "app:/etc/in.conf")
	w.good("cp", conf, "app:/vol/in.conf")
	if got := w.again("app"); got != "mine\nmine\n" {
		t.Errorf("the app sees %q", got)
	}
	if r := w.result("cp", "app:/no/such", dir); r.code == 0 || !strings.Contains(r.err, "has no") {
		t.Errorf("of nothing: %s", r.err)
	}
	w.detach("live", nil, "sh", "-c", "ln -s /etc /srv/etc; until grep -qs mine /run/go; do sleep 0.1; done; stat -c %u /etc/my.conf; cat /etc/my.conf; exec sleep 600")
	w.good("cp", conf, "live:/etc/")
	if r := w.result("cp", conf, "live:/srv/etc/x"); r.code == 0 || !strings.Contains(r.err, "no directory of the app") {
		t.Errorf("through a link of one that runs: %s", r.err)
	}
	w.good("cp", conf, "live:/var/run/go") // a link of the image
	w.until("it sees the files", func() bool { return w.result("logs", "live").out == "0\nmine\n" })
	if got := w.good("cp", "live:/etc/hostname", filepath.Join(dir, "h")); !strings.Contains(got, "1 file") {
		t.Errorf("out of one that runs: %s", got)
	}
}
