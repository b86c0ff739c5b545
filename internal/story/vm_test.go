//go:build linux

package story

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/sandbox"
)

// vmWorld is a world whose agent has a guest for microVMs, on an emulated
// processor.
func vmWorld(t *testing.T) *world {
	t.Helper()
	if built.skip != "" {
		t.Skip(built.skip)
	}
	t.Setenv("CONSENTRY_GUEST", vmtest.Guest(t, runtime.GOARCH))
	t.Setenv("CONSENTRY_VM_ACCEL", "tcg")
	return newWorld(t)
}

// vmFlags make a machine small enough for an emulated processor.
var vmFlags = []string{"--isolation", "vm", "--memory", "256m", "--cpus", "1"}

// An app in a microVM is asked about as every other, and lives as every other.
func TestAnAppInAMicroVM(t *testing.T) {
	w := vmWorld(t)
	flags := append([]string{"-p", "8080:8000", "-v", "notes:/notes"}, vmFlags...)
	w.detach("boxed", flags, "python3", "-u", "-m", "http.server", "8000")

	t.Run("the same walls as on Linux, and the machine's", func(t *testing.T) { vmWalls(t, w) })
	t.Run("deny", func(t *testing.T) {
		app := w.start("exec", "boxed", "curl", "-4sS", "http://"+webName+"/")
		p := w.request(webTarget)
		if w.reached() != 0 {
			t.Fatal("something reached the server before the answer")
		}
		w.want("deny", p.ID, "--once")
		if r := app.wait(); r.code != 7 || w.reached() != 0 {
			t.Errorf("curl's exit %d (7 is refused), %d connections reached the server: %s", r.code, w.reached(), r.err)
		}
	})
	t.Run("hold and allow", func(t *testing.T) {
		time.Sleep(2 * time.Second) // until then the no stands for this site
		app := w.start("exec", "boxed", "curl", "-4sS", "http://"+webName+"/")
		p := w.request(webTarget)
		time.Sleep(time.Second) // the user thinks; curl hangs
		w.want("allow", p.ID, "--always")
		if r := app.wait(); r.code != 0 || r.out != "page of "+webName+"\n" || r.took < time.Second {
			t.Errorf("exit %d after %s: %q %s", r.code, r.took, r.out, r.err)
		}
	})
	t.Run("revoke", func(t *testing.T) {
		before := w.reached()
		app := w.start("exec", "boxed", "curl", "-4sS", "-o", "/dev/null", "http://"+webName+"/slow")
		w.until("the download runs", func() bool { return w.reached() > before })
		began := time.Now()
		w.want("revoke", "--all")
		if r := app.wait(); r.code == 0 || time.Since(began) > 3*time.Second { // the guest is slow to say so
			t.Errorf("the download ended with %d, %s after the grant was taken back", r.code, time.Since(began))
		}
	})
	t.Run("port", func(t *testing.T) {
		r := w.command(w.machine, "curl", "-sS", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost:8080/").wait()
		if r.out != "200" {
			t.Errorf("the app's page: %q %s", r.out, r.err)
		}
	})
	t.Run("data API", func(t *testing.T) {
		api := fmt.Sprintf("http://%s:%d/v1/kinds", sandbox.Gateway4, sandbox.DataAPIPort)
		if out := w.want("exec", "boxed", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Consentry-Request: 1", api); out != "200" {
			t.Errorf("the data API: %s", out)
		}
	})
	t.Run("volume", func(t *testing.T) {
		w.want("exec", "boxed", "sh", "-c", "echo remember >/notes/today")
		if text, err := os.ReadFile(filepath.Join(w.home, "volumes", "notes", "today")); err != nil || string(text) != "remember\n" {
			t.Errorf("the volume holds %q, %v", text, err)
		}
	})
	t.Run("exec", func(t *testing.T) {
		if r := w.result("exec", "boxed", "sh", "-c", "echo out; echo err >&2; exit 5"); r.code != 5 || r.out != "out\n" || r.err != "err\n" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("stop", func(t *testing.T) {
		w.want("stop", "boxed")
		if d := w.inspect("boxed"); d.Exit == nil || d.Exit.Code != 143 {
			t.Errorf("it ended with %+v", d.Exit)
		}
		w.noMachine()
	})
}

// vmWalls: all stand, and nothing was waived.
func vmWalls(t *testing.T, w *world) {
	p := w.inspect("boxed").Posture
	if p == nil {
		t.Fatal("it has no posture")
	}
	for _, wall := range p.Walls {
		if wall.Required && (!wall.Stands || wall.Waived) {
			t.Errorf("%+v", wall)
		}
	}
	if p.Host != "vm" || len(p.Walls) < 8 {
		t.Errorf("posture of %q with %d walls", p.Host, len(p.Walls))
	}
}

// machines counts the processes of microVMs.
func machines() (n int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		args := strings.Split(string(line), "\x00")
		ours := slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "consentry-") })
		if ours && strings.HasPrefix(filepath.Base(args[0]), "qemu-system") {
			n++
		}
	}
	return n
}

func (w *world) noMachine() {
	w.t.Helper()
	w.until("no machine is left", func() bool { return machines() == 0 })
}

// Whoever is killed, the machine is gone, and the exit code says how it went.
func TestMicroVMsEnd(t *testing.T) {
	w := vmWorld(t)
	t.Run("with the app", func(t *testing.T) {
		line := append([]string{"run", "--rm", "--quiet"}, vmFlags...)
		if r := w.result(append(line, built.image, "sh", "-c", "echo hello; exit 9")...); r.code != 9 || r.out != "hello\n" {
			t.Errorf("%+v", r)
		}
		w.noMachine()
	})
	t.Run("with the agent", func(t *testing.T) {
		w.detach("left", vmFlags, "sleep", "1000")
		if machines() != 1 {
			t.Fatalf("%d machines run", machines())
		}
		must(t, w.agent.Process.Signal(syscall.SIGKILL))
		w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
		w.noMachine()
		w.startAgent()
		if d := w.inspect("left"); string(d.State) != "exited" {
			t.Errorf("the run is %s", d.State)
		}
	})
}

// TestMicroVMWantsWhatItCannotHave: each refusal says what to do instead.
func TestMicroVMWantsWhatItCannotHave(t *testing.T) {
	t.Setenv("CONSENTRY_GUEST", "/nothing/of/that/name")
	w := newWorld(t)
	for _, c := range []struct {
		flags []string
		says  string
	}{
		{[]string{"--isolation", "vm"}, "the guest's kernel"},
		{[]string{"--isolation", "vm", "--waive", sandbox.WaiveLSM}, "the guest's kernel"},
		{[]string{"--isolation", "box"}, `isolation "box"`},
	} {
		r := w.result(append(append([]string{"run", "--rm", "--quiet"}, c.flags...), built.image, "true")...)
		if r.code != 125 || !strings.Contains(r.err, c.says) {
			t.Errorf("%v: exit %d, %s", c.flags, r.code, r.err)
		}
	}
}

// An app for another processor runs in a machine that has it, emulated, and is
// asked about as every other.
func TestAnAppOfAnotherProcessor(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs an amd64 machine: to it arm64 is the other")
	}
	guests := t.TempDir()
	must(t, os.Symlink(vmtest.Guest(t, "arm64"), filepath.Join(guests, "arm64")))
	t.Setenv("CONSENTRY_GUEST", guests)
	w := newWorld(t)
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "files/fetch"), "./testdata/fetch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	w.run(build)
	image := filepath.Join(dir, "image")
	w.run(exec.Command("go", "run", "../../tools/mkimage", "-o", image, "-folder", filepath.Join(dir, "files")+"=/", "-arch", "arm64", "-cmd", "/fetch"))

	line := append([]string{"run", "--rm", "--quiet", "--platform", "linux/arm64"}, vmFlags...)
	app := w.start(append(line, image, "/fetch", "http://"+webName+"/", "http://"+otherName+"/")...)
	w.untilWithin(4, "the app runs", func() bool { return app.out.String() != "" })
	p := w.request(webTarget)
	if w.reached() != 0 {
		t.Fatal("something reached the server before the answer")
	}
	w.want("allow", p.ID, "--once")
	p = w.request("tcp/" + otherName + ":80")
	w.want("deny", p.ID, "--once")
	r := app.wait()
	if want := "arm64 on aarch64\npage of " + webName + "\nno\n"; r.code != 0 || r.out != want || w.reached() != 1 {
		t.Errorf("exit %d: %q, want %q; %d connections reached the server: %s", r.code, r.out, want, w.reached(), r.err)
	}
	w.noMachine()
}

// Folders in a microVM: one that is given when the app starts, and one that it
// has to ask for. Both can be taken back while it runs.
func TestFoldersInAMicroVM(t *testing.T) {
	w := vmWorld(t)
	home := t.TempDir()
	papers, docs := filepath.Join(home, "papers"), filepath.Join(home, "docs")
	for _, dir := range []string{papers, docs, filepath.Join(docs, "private")} {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "letter"), []byte("from "+filepath.Base(dir)+"\n"), 0o644))
	}
	flags := append([]string{"--share", papers + ":rw", "--share", docs + ":ask"}, vmFlags...)
	w.detach("reader", flags, "sleep", "1000")
	inside := func(script string) result { return w.result("exec", "reader", "sh", "-c", script) }

	t.Run("given at the start", func(t *testing.T) {
		r := inside("cat /share/papers/letter; echo mine >/share/papers/new; chmod 640 /share/papers/new; mkdir /share/papers/sub; mv /share/papers/new /share/papers/sub/old; stat -c %u:%a /share/papers/sub/old; ls /share/papers")
		if r.out != "from papers\n0:640\nletter\nsub\n" {
			t.Errorf("%+v", r)
		}
		if text, err := os.ReadFile(filepath.Join(papers, "sub/old")); err != nil || string(text) != "mine\n" {
			t.Errorf("the user finds %q, %v", text, err)
		}
	})
	t.Run("asked for", func(t *testing.T) {
		if r := inside("ls -d /share/docs"); r.out != "/share/docs\n" { // its name is no secret
			t.Errorf("%+v", r)
		}
		app := w.start("exec", "reader", "cat", "/share/docs/letter")
		p := w.request("docs")
		w.want("deny", p.ID, "--once")
		if r := app.wait(); r.code != 1 || !strings.Contains(r.err, "Permission denied") {
			t.Errorf("after a no: %+v", r)
		}
		time.Sleep(2 * time.Second) // until then the no stands
		app = w.start("exec", "reader", "sh", "-c", "cat /share/docs/letter; echo x 2>/dev/null >/share/docs/letter || echo read-only")
		p = w.request("docs")
		time.Sleep(time.Second)
		if app.out.String() != "" {
			t.Error("it was read before the answer")
		}
		w.want("allow", p.ID, "--for", "1h")
		if r := app.wait(); r.out != "from docs\nread-only\n" {
			t.Errorf("after a yes: %+v", r)
		}
	})
	t.Run("a part that is closed", func(t *testing.T) {
		w.want("deny", "reader", "file.read", "docs/private")
		w.until("it is closed", func() bool { return inside("cat /share/docs/private/letter").code != 0 })
		if r := inside("cat /share/docs/letter"); r.out != "from docs\n" {
			t.Errorf("the rest: %+v", r)
		}
	})
	t.Run("taken back", func(t *testing.T) {
		app := w.start("exec", "reader", "sh", "-c", "exec 3</share/papers/letter; echo open; until ! cat /share/papers/letter >/dev/null 2>&1; do sleep 0.2; done; cat <&3 || echo cut")
		w.until("it has the file open", func() bool { return app.out.String() == "open\n" })
		w.want("revoke", "--all")
		if r := app.wait(); r.out != "open\ncut\n" {
			t.Errorf("%+v", r)
		}
		if r := inside("ls /share/papers"); r.code == 0 {
			t.Errorf("what was given at the start: %+v", r)
		}
	})
	w.want("stop", "reader")
	w.noMachine()
}
