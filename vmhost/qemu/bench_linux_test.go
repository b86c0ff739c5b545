package qemu_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/qemu"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if code, handled := linuxhost.Main(os.Args[1], os.Args[2:]); handled {
			syscall.Exit(code)
		}
		if code, handled := qemu.Main(os.Args[1]); handled {
			syscall.Exit(code)
		}
	}
	os.Exit(m.Run())
}

const idBase = 0x20000000

// bench is a host with QEMU's driver, and an image with busybox.
type bench struct {
	t      testing.TB
	driver *qemu.Driver
	config vmhost.HostConfig
	host   *vmhost.Host
	image  string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the driver maps files for guests")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	self, err := os.Executable()
	must(t, err)
	guest := vmtest.Guest(t, runtime.GOARCH)
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	driver := qemu.New(qemu.Config{Self: self, StateDir: t.TempDir(), Accel: "tcg", Log: log})
	config := vmhost.HostConfig{Driver: driver, Kernel: filepath.Join(guest, "kernel"), Init: filepath.Join(guest, "initramfs"), Log: log}
	b := &bench{t: t, driver: driver, config: config, host: vmhost.NewHost(config), image: t.TempDir()}
	if err := b.host.Check(t.Context()); err != nil {
		t.Skipf("the machine lacks a part: %v", err)
	}
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
	t.Cleanup(func() { must(t, b.host.Close()) })
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

func (b *bench) spec(script string) sandbox.Spec {
	return sandbox.Spec{
		ID: strings.ToLower(rand.Text())[:12], Name: "test", Hostname: "boxed",
		Process: sandbox.Process{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin", "HOME=/home"}},
		Image:   &sandbox.Image{Lower: []string{b.image}, IDBase: idBase},
		Limits:  sandbox.Limits{Memory: 256 << 20, CPUs: 1},
		Stop:    sandbox.StopRule{Grace: 5 * time.Second},
	}
}

type outcome struct {
	exit     sandbox.Exit
	out, err string
}

// run starts spec with pipes and waits for its end.
func (b *bench) run(spec sandbox.Spec, during ...func(sandbox.Instance)) outcome {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	outR, outW, err := os.Pipe()
	must(b.t, err)
	errR, errW, err := os.Pipe()
	must(b.t, err)
	spec.Process.Stdio = [3]*os.File{spec.Process.Stdio[0], outW, errW}
	stdout, stderr := collect(outR), collect(errR)
	app, err := b.host.Start(ctx, spec, nil)
	must(b.t, err)
	for _, f := range during {
		f(app)
	}
	exit, err := app.Wait(ctx)
	if err != nil {
		b.t.Error(err)
		must(b.t, app.Stop(context.Background()))
	}
	return outcome{exit, <-stdout, <-stderr}
}

func collect(r *os.File) <-chan string {
	text := make(chan string, 1)
	go func() {
		defer r.Close()
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	return text
}
