//go:build linux

package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realImage is an image of a program that people run, made of Debian's own
// package, and started as its makers would start it.
type realImage struct {
	name    string
	include string   // packages
	image   []string // flags of tools/mkimage
	probe   []string // run inside, as the image's user
	says    string   // what the probe prints
	user    string   // whom ps and id must show
}

var realImages = []realImage{
	{
		name: "redis", include: "redis-server",
		image: []string{"-user", "redis", "-volume", "/var/lib/redis", "-dir", "/var/lib/redis", "-stop", "SIGTERM", "-port", "6379",
			"-cmd", "redis-server,--bind,0.0.0.0,--protected-mode,no,--save,60 1"},
		probe: []string{"redis-cli", "incr", "visits"}, says: "1", user: "redis",
	},
	{
		name: "nginx", include: "nginx-light",
		image: []string{"-stop", "SIGQUIT", "-volume", "/var/log/nginx", "-port", "80", "-cmd", "nginx,-g,daemon off;"},
		probe: []string{"sh", "-c", "ps -o user= -C nginx | sort -u | tr '\\n' ' '"}, says: "www-data", user: "root",
	},
	{
		name: "postgres", include: "postgresql-15",
		image: []string{"-user", "postgres", "-volume", "/var/lib/postgresql/data", "-stop", "SIGINT", "-port", "5432",
			"-env", "PGDATA=/var/lib/postgresql/data/db", "-env", "PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "-env", "LC_ALL=C.UTF-8",
			"-cmd", "sh,-c,test -s $PGDATA/PG_VERSION || initdb -A trust; exec postgres -k /tmp"},
		probe: []string{"psql", "-h", "/tmp", "-Atc", "select 6*7"}, says: "42", user: "postgres",
	},
}

// TestRealImages builds images out of Debian's packages, minutes each, and runs
// them with their defaults and no rights at all; long.
func TestRealImages(t *testing.T) {
	if os.Getenv("CONSENTRY_LONG") == "" {
		t.Log("nothing here: CONSENTRY_LONG=1 builds and runs redis, nginx and postgres")
		return
	}
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
	layout := buildReal(w.t, r)
	if res := w.result("run", "-d", "--quiet", "--no-input", "--name", r.name, "-P", layout); res.code != 0 {
		w.t.Fatal(res.err)
	}
	exec := func(args ...string) string {
		res := w.result(append([]string{"exec", r.name}, args...)...)
		return strings.TrimSpace(res.out)
	}
	var said string
	w.untilAtLast(r.name+" answers", func() bool { said = exec(r.probe...); return strings.Contains(said, r.says) })
	if who := exec("id", "-un"); who != r.user {
		w.t.Errorf("runs as %q", who)
	}
	port := w.result("port", r.name)
	w.t.Logf("%s says %q as %s; %s", r.name, said, r.user, strings.Join(strings.Fields(port.out), " "))
	if r.name == "nginx" {
		w.pageOf(r.name)
	}
	stop := w.result("stop", r.name)
	if stop.code != 0 {
		w.t.Errorf("stop: %s", stop.err)
	}
	if log := w.result("log").out; strings.Contains(log, r.name+" “exit 137") {
		w.t.Errorf("%s did not heed its stop signal:\n%s", r.name, log)
	}
}

// pageOf wants the page behind a published port.
func (w *world) pageOf(name string) {
	w.t.Helper()
	url := strings.TrimSpace(w.result("open", "--print", name).out)
	if page := w.command(w.machine, "curl", "-s", "--max-time", "10", url).wait(); !strings.Contains(page.out, "Welcome to nginx") {
		w.t.Errorf("the page at %s is %q %s", url, page.out, page.err)
	}
}

// buildReal makes the image once.
func buildReal(t *testing.T, r realImage) string {
	t.Helper()
	cache, err := filepath.Abs("../../.cache/real")
	must(t, err)
	must(t, os.MkdirAll(cache, 0o755))
	base, layout := filepath.Join(cache, r.name+".tar"), filepath.Join(cache, r.name)
	if _, err := os.Stat(base); err != nil {
		out, err := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--include=procps,"+r.include, "bookworm", base+".part").CombinedOutput()
		if err != nil {
			t.Fatalf("mmdebstrap: %v\n%s", err, out)
		}
		must(t, os.Rename(base+".part", base))
	}
	args := append([]string{"run", "./tools/mkimage", "-o", layout, "-layer", base}, r.image...)
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage: %v\n%s", err, out)
	}
	return layout
}
