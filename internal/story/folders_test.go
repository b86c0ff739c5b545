//go:build linux

package story

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
)

// documents is a folder of the user's, as one has it.
func documents(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "docs")
	for name, text := range map[string]string{"letter": "dear\n", "letters/old": "old\n", "private/key": "secret\n"} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// A folder that is offered is seen by its name and empty; the call that touches
// it waits for the answer, and goes on in the folder.
func TestFolderIsAskedForAtFirstTouch(t *testing.T) {
	w := newWorld(t)
	dir := documents(t)
	share := []string{"run", "--rm", "--quiet", "--share", dir + ":ask-rw", built.image, "sh", "-c"}

	denied := w.result(append([]string{"run", "--no-input"}, append(share[1:], "ls /share; cat /share/docs/letter")...)...)
	if denied.code == 0 || denied.out != "docs\n" || !strings.Contains(denied.err, "Permission denied") {
		t.Errorf("without a rule and without a question: %+v", denied)
	}
	r := w.start(append(share, "cat /share/docs/letter && echo new >/share/docs/new && cat /share/docs/new")...)
	p := w.request("docs")
	if p.Kind != "file.write" {
		t.Errorf("asked for %s", p.Kind)
	}
	w.want("allow", p.ID, "--run")
	if got := r.wait(); got.code != 0 || got.out != "dear\nnew\n" {
		t.Errorf("after a yes: %+v", got)
	}
	r = w.start(append(share, "cat /share/docs/letter")...)
	w.want("deny", w.request("docs").ID)
	if got := r.wait(); got.code == 0 || !strings.Contains(got.err, "Permission denied") {
		t.Errorf("after a no: %+v", got)
	}
	r = w.start(append([]string{"run", "--hold", "1s"}, append(share[1:], "cat /share/docs/letter")...)...)
	if got := r.wait(); got.code == 0 || !strings.Contains(got.err, "temporarily unavailable") {
		t.Errorf("without an answer: %+v", got)
	}
	w.want("allow", w.request("docs").ID, "--always") // too late for that one, in time for the next
	if got := w.result(append(share, "cat /share/docs/letter")...); got.out != "dear\n" {
		t.Errorf("after a late yes: %+v", got)
	}
}

// What a manifest asks for is all that is there to ask for; rules about parts
// hold inside, and reading alone can be granted.
func TestFoldersOfAManifest(t *testing.T) {
	w := newWorld(t)
	dir := documents(t)
	manifest, err := json.Marshal(app.Manifest{Version: 1, Name: "reader", Rights: []app.Right{
		{Kind: "file.read", Target: "docs/letters", Reason: "to find a letter"},
	}})
	must(t, err)
	image := filepath.Join(w.home, "labelled")
	labelled(t, image, map[string]string{app.ManifestLabel: string(manifest)})
	r := w.start("run", "--rm", "--quiet", "--answer", "allow", "--share", dir+":ask", image,
		"sh", "-c", "ls /share/docs; cat /share/docs/letters/old; touch /share/docs/letters/new; cat /share/docs/letter")
	got := r.wait()
	if got.out != "letters\nold\n" || !strings.Contains(got.err, "Read-only") || !strings.Contains(got.err, "letter: No such file") {
		t.Errorf("got %+v", got)
	}
}

func TestRulesForPartsOfAFolder(t *testing.T) {
	w := newWorld(t)
	dir := documents(t)
	w.want("run", "-d", "--quiet", "--name", "app", "--no-input", "--share", dir+":ask-rw", built.image, "sleep", "1000")
	w.want("allow", "app", "file.read", "docs")
	w.want("allow", "app", "file.write", "docs/letters")
	w.want("deny", "app", "file.read", "docs/private")
	got := w.result("exec", "app", "sh", "-c", "cd /share/docs; cat letter private/key; touch letters/new && echo made; touch new")
	if got.out != "dear\nmade\n" || !strings.Contains(got.err, "private/key: Permission denied") || !strings.Contains(got.err, "Read-only") {
		t.Errorf("got %+v", got)
	}
}

// A folder that is taken back is gone within a second, whether it was given at
// the start or later. Without LSM programs the app is held, and the user told.
func TestFolderTakenBackWhileOpen(t *testing.T) {
	w := newWorld(t)
	const script = `exec 3</share/docs/letter; echo open; while cat /share/docs/letter >/dev/null 2>&1; do date +%s%N >/tmp/last; sleep .02; done; echo gone; sleep 1000`
	for name, flags := range map[string][]string{"given": {"--share", documents(t)}, "asked": {"--share", documents(t) + ":ask", "--hold", "5s"}} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.want(append(append([]string{"run", "-d", "--quiet", "--name", name}, flags...), built.image, "sh", "-c", script)...)
			if name == "asked" {
				w.want("allow", w.request("docs").ID, "--run")
			}
			w.until("the app has it open", func() bool { return strings.Contains(w.want("logs", name), "open") })
			began := time.Now()
			if told := w.want("revoke", "--all"); !strings.Contains(told, name+" is paused") {
				t.Errorf("revoke says %q", told)
			}
			w.until("the app is held", func() bool { return w.inspect(name).State == api.Paused })
			t.Logf("held %s after the command began", time.Since(began))
			if d := w.inspect(name); !strings.Contains(d.Notice, "files were open") || !strings.Contains(d.Notice, "stop it") {
				t.Errorf("the user is told %q", d.Notice)
			}
			if log := w.want("log"); !strings.Contains(log, "detach") {
				t.Errorf("the ledger has no line of it:\n%s", log)
			}
			w.want("unpause", name)
			w.until("the app sees that it is gone", func() bool { return strings.Contains(w.want("logs", name), "gone") })
			w.want("rm", "-f", name)
		})
	}
	w.t = t
}

// Posture of an app with folders is as of any other, and nothing is left of it.
func TestPostureWithFolders(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--name", "app", "--share", documents(t)+":ask", built.image, "sleep", "1000")
	w.posture("app")
	w.want("allow", "app", "file.read", "docs")
	if got := w.result("exec", "app", "cat", "/share/docs/letter"); got.out != "dear\n" {
		t.Errorf("got %+v", got)
	}
	w.posture("app")
	if spec := w.inspect("app").Spec; len(spec.Asks) != 1 || spec.Asks[0] != (sandbox.Ask{Name: "docs", Target: "/share/docs"}) {
		t.Errorf("asks: %+v", spec.Asks)
	}
}
