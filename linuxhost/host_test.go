//go:build linux

package linuxhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/longtest"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if code, handled := linuxhost.Main(os.Args[1], os.Args[2:]); handled {
			syscall.Exit(code) // os.Exit waits a second for the race detector
		}
		if code, handled := testRole(os.Args[1], os.Args[2:]); handled {
			os.Exit(code)
		}
	}
	if code, handled := rootlessMain(); handled {
		os.Exit(code)
	}
	if err := longtest.Only("TestAsPodmanDoes", "TestServersOfDebianStart"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const idBase = 0x20000000

// bench is one machine for tests: an image with busybox, a state directory, a
// host.
type bench struct {
	t     testing.TB
	host  *linuxhost.Host
	image string // the one layer
	state string
	runs  int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := bareBench(t)
	if err := b.host.Check(context.Background()); err != nil {
		t.Skipf("the machine lacks a part: %v", err)
	}
	return b
}

// bareBench is one on a machine that may lack parts.
func bareBench(t testing.TB) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the native host does not run without it yet")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	b := &bench{t: t, image: t.TempDir(), state: t.TempDir()}
	for _, dir := range []string{"bin", "etc", "tmp", "home", "data"} {
		must(t, os.Mkdir(filepath.Join(b.image, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Join(b.image, "tmp"), 0o1777))
	program, err := os.ReadFile(busybox)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.image, "bin/busybox"), program, 0o755))
	applets, err := exec.Command(busybox, "--list").Output()
	must(t, err)
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			must(t, os.Symlink("busybox", filepath.Join(b.image, "bin", name)))
		}
	}
	must(t, os.WriteFile(filepath.Join(b.image, "etc/noexec"), []byte("no program\n"), 0o644))
	self, err := os.Executable()
	must(t, err)
	b.host = linuxhost.New(linuxhost.Config{
		Self: self, StateDir: b.state, FenceSocket: os.Getenv(fenceEnv),
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	t.Cleanup(b.nothingLeft)
	t.Cleanup(func() { must(t, b.host.Close()) })
	t.Cleanup(b.denials)
	return b
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails the test when a run left a cgroup behind.
func (b *bench) nothingLeft() {
	if left := cgroupsLeft(b.t, b.state); len(left) > 0 {
		b.t.Errorf("cgroups left: %v", left)
	}
	must(b.t, linuxhost.Cleanup(context.Background(), b.state, nil))
}

// spec is a run of a command as root of the app.
func (b *bench) spec(args ...string) sandbox.Spec {
	b.runs++
	return sandbox.Spec{
		ID: fmt.Sprintf("run%d", b.runs), Name: "test", Hostname: "boxed", Waived: []string{sandbox.WaiveLSM},
		Process: sandbox.Process{Args: args, Env: []string{"PATH=/bin", "HOME=/home"}},
		Image:   &sandbox.Image{Lower: []string{b.image}, IDBase: idBase},
		Stop:    sandbox.StopRule{Grace: 2 * time.Second},
	}
}

// upper gives spec a writable layer on disk.
func (b *bench) upper(spec *sandbox.Spec) string {
	dir := b.t.TempDir()
	spec.Image.Upper, spec.Image.Work = filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	must(b.t, os.Mkdir(spec.Image.Upper, 0o755))
	must(b.t, os.Mkdir(spec.Image.Work, 0o755))
	return dir
}

// outcome is all that came of a run.
type outcome struct {
	exit     sandbox.Exit
	out, err string
}

// run starts spec with pipes and waits for its end.
func (b *bench) run(spec sandbox.Spec, during ...func(sandbox.Instance)) outcome {
	b.t.Helper()
	got, err := b.try(spec, during...)
	must(b.t, err)
	return got
}

func (b *bench) try(spec sandbox.Spec, during ...func(sandbox.Instance)) (outcome, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	outR, outW := pipe(b.t)
	errR, errW := pipe(b.t)
	spec.Process.Stdio = [3]*os.File{nil, outW, errW}
	stdout, stderr := collect(outR), collect(errR)
	app, err := b.host.Start(ctx, spec, nil)
	if err != nil {
		return outcome{}, err
	}
	for _, f := range during {
		f(app)
	}
	exit, err := app.Wait(ctx)
	if err != nil {
		b.t.Error(err)
		must(b.t, app.Stop(context.Background()))
	}
	return outcome{exit, <-stdout, <-stderr}, nil
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	return r, w
}

// collect reads a stream to its end.
func collect(r *os.File) <-chan string {
	text := make(chan string, 1)
	go func() {
		defer r.Close()
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	return text
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// cgroupsLeft finds directories named by our runs in any tree.
func cgroupsLeft(t testing.TB, state string) []string {
	t.Helper()
	var left []string
	for _, dir := range linuxhost.StateCgroups(state) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() {
				left = append(left, filepath.Join(dir, e.Name()))
			}
		}
	}
	return left
}
