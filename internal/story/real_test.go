//go:build linux

package story

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
)

// realImage is an image of a program that people run, made of packages of
// Debian or npm, and started as its makers would start it.
type realImage struct {
	name    string
	include string   // Debian's packages; none is the base of the other stories
	layer   string   // a script that makes another layer
	image   []string // flags of tools/mkimage
	probe   []string // run inside, as the image's user
	says    string   // what the probe prints when all is well
	user    string   // whom id must show
	page    string   // what the page behind the port says, if there is one
	writes  []string // run inside: data that is to stay
	keeps   []string // run inside after another start
	kept    string   // what it prints
	bye     string   // the program's last line, when it ended as it should
}

const (
	accessLog = "/var/log/nginx/access.log"
	visits    = "create table visits (n int); insert into visits values (6)"
)

var realImages = []realImage{
	{
		name: "redis", include: "redis-server",
		image: []string{"-user", "redis", "-volume", "/var/lib/redis", "-dir", "/var/lib/redis", "-stop", "SIGTERM", "-port", "6379",
			"-cmd", "redis-server,--bind,0.0.0.0,--protected-mode,no,--save,60 1"},
		probe: []string{"redis-cli", "ping"}, says: "PONG", user: "redis",
		writes: []string{"redis-cli", "incr", "visits"},
		keeps:  []string{"redis-cli", "get", "visits"}, kept: "1",
		bye: "ready to exit, bye bye",
	},
	{
		name: "nginx", include: "nginx-light",
		image: []string{"-stop", "SIGQUIT", "-volume", "/var/log/nginx", "-port", "80", "-cmd", "nginx,-g,daemon off; error_log stderr notice;"},
		probe: []string{"sh", "-c", "ps -o user= -C nginx | sort -u | tr '\\n' ' '"}, says: "www-data", user: "root",
		page:  "Welcome to nginx",
		keeps: []string{"grep", "-c", "GET / ", accessLog}, kept: "1",
		bye: ": exit",
	},
	{
		name: "postgres", include: "postgresql-15",
		image: []string{"-user", "postgres", "-volume", "/var/lib/postgresql/data", "-stop", "SIGINT", "-port", "5432",
			"-env", "PGDATA=/var/lib/postgresql/data/db", "-env", "PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "-env", "LC_ALL=C.UTF-8",
			"-cmd", "sh,-c,test -s $PGDATA/PG_VERSION || initdb -A trust; exec postgres -k /tmp"},
		probe: []string{"psql", "-h", "/tmp", "-Atc", "select 6*7"}, says: "42", user: "postgres",
		writes: []string{"psql", "-h", "/tmp", "-Atc", visits},
		keeps:  []string{"psql", "-h", "/tmp", "-Atc", "select n*7 from visits"}, kept: "42",
		bye: "database system is shut down",
	},
	{
		name: "node", layer: "testdata/node/layer.sh",
		image: []string{"-user", "www-data", "-dir", "/srv/app", "-volume", "/srv/data", "-stop", "SIGTERM", "-port", "8080",
			"-cmd", "node,server.js"},
		probe: []string{"node", "-e", "fetch('http://localhost:8080/none').then(r => console.log(r.status))"}, says: "404", user: "www-data",
		page:  `{"visits":1,"verified":true}`,
		keeps: []string{"cat", "/srv/data/visits"}, kept: "x",
		bye: "all visits are over",
	},
}

// TestRealImages builds images out of the packages of Debian and npm, minutes
// each, and runs them with their defaults and no rights at all; long.
func TestRealImages(t *testing.T) {
	w := newWorld(t)
	for _, r := range realImages {
		t.Run(r.name, func(t *testing.T) {
			w := *w
			w.t = t
			w.realImage(r)
		})
	}
}

func (w *world) realImage(r realImage) {
	w.t.Helper()
	w.want("run", "-d", "--quiet", "--no-input", "--name", r.name, "-P", buildReal(w.t, r))
	w.answers(r)
	if who := w.inside(r.name, "id", "-un"); who != r.user {
		w.t.Errorf("runs as %q", who)
	}
	if r.page != "" {
		w.pageOf(r)
	}
	if r.writes != nil {
		w.want(append([]string{"exec", r.name}, r.writes...)...)
	}
	w.want("stop", r.name)
	if faults := w.faultsOfEnd(r); len(faults) != 0 {
		w.t.Errorf("%s did not heed its stop signal: %q", r.name, faults)
	}
	w.want("start", r.name)
	w.answers(r)
	if kept := w.inside(r.name, r.keeps...); kept != r.kept {
		w.t.Errorf("after another start its volume has %q, want %q", kept, r.kept)
	}
	w.want("kill", r.name)
	w.until("it has ended", func() bool { return w.inspect(r.name).State == api.Exited })
	if faults := w.faultsOfEnd(r); len(faults) != 2 { // the look at a clean end can fail
		w.t.Errorf("after a kill these speak against a clean end: %q", faults)
	}
}

func (w *world) answers(r realImage) {
	w.t.Helper()
	w.untilAtLast(r.name+" answers", func() bool { return strings.Contains(w.inside(r.name, r.probe...), r.says) })
}

// inside is what a program in a running app prints.
func (w *world) inside(name string, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(w.result(append([]string{"exec", name}, args...)...).out)
}

// faultsOfEnd is what speaks against it that a server ended by itself, in good
// order: the code it ended with, and its own last line.
func (w *world) faultsOfEnd(r realImage) (faults []string) {
	w.t.Helper()
	if exit := w.inspect(r.name).Exit; exit == nil || exit.Code != 0 {
		faults = append(faults, fmt.Sprintf("exit %+v", exit))
	}
	logs := w.result("logs", r.name)
	if out, errs := lastLine(logs.out), lastLine(logs.err); !strings.Contains(out, r.bye) && !strings.Contains(errs, r.bye) {
		faults = append(faults, fmt.Sprintf("its last words were %q and %q", out, errs))
	}
	return faults
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndex(text, "\n")+1:]
}

// pageOf wants the page behind a published port, once.
func (w *world) pageOf(r realImage) {
	w.t.Helper()
	url := strings.TrimSpace(w.want("open", "--print", r.name))
	if page := w.command(w.machine, "curl", "-s", "--max-time", "10", url).wait(); !strings.Contains(page.out, r.page) {
		w.t.Errorf("the page at %s is %q %s", url, page.out, page.err)
	}
}

// buildReal makes the layers once, and the image.
func buildReal(t *testing.T, r realImage) string {
	t.Helper()
	cache, err := filepath.Abs("../../.cache/real")
	must(t, err)
	must(t, os.MkdirAll(cache, 0o755))
	base, layout := filepath.Join(cache, "..", "base.tar"), filepath.Join(cache, r.name)
	if r.include != "" {
		base = layout + ".tar"
		once(t, base, "mmdebstrap", "--quiet", "--variant=minbase", "--include=procps,"+r.include, "bookworm")
	}
	args := []string{"run", "./tools/mkimage", "-o", layout, "-layer", base}
	if r.layer != "" {
		layer := layout + "-layer.tar"
		once(t, layer, r.layer)
		args = append(args, "-layer", layer)
	}
	cmd := exec.Command("go", append(args, r.image...)...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage: %v\n%s", err, out)
	}
	return layout
}

// once makes a file by a command whose last word is the file, unless it is there.
func once(t *testing.T, file string, command ...string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	part := filepath.Join(filepath.Dir(file), "part-"+filepath.Base(file)) // mmdebstrap goes by the suffix
	if out, err := exec.Command(command[0], append(command[1:], part)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command[0], err, out)
	}
	must(t, os.Rename(part, file))
}
