//go:build hosttest

package hosttest

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
)

// kind is one way to boot machines on this system.
type kind struct {
	name   string
	config vmhost.HostConfig
	images bool // layers are ext4 images
}

const (
	idBase  = 0x32000000
	runTime = 5 * time.Minute
)

// TestHost boots machines in each way that this system has, and runs an app.
func TestHost(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			host := vmhost.NewHost(k.config)
			if err := host.Check(t.Context()); err != nil {
				t.Fatalf("what is missing, and what to do:\n%v", err)
			}
			spec := sandbox.Spec{
				ID: "hosttest1", Name: "hosttest", Hostname: "boxed", Waived: []string{sandbox.WaiveLSM},
				Process: sandbox.Process{Args: []string{"/app"}},
				Image:   &sandbox.Image{Lower: []string{layer(t, k.images)}, IDBase: idBase},
				Limits:  sandbox.Limits{Memory: 256 << 20, CPUs: 1},
			}
			t.Run("app", func(t *testing.T) { runApp(t, host, spec) })
			if err := host.Close(); err != nil {
				t.Error(err)
			}
			t.Run("driver", func(t *testing.T) {
				drivertest.Conform(t, k.config.Driver, vmhost.Config{
					Kernel: k.config.Kernel, Initramfs: k.config.Init, Memory: 512 << 20, CPUs: 1, Spec: spec,
				})
			})
		})
	}
}

func runApp(t *testing.T, host *vmhost.Host, spec sandbox.Spec) {
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	spec.Process.Stdio[1] = w
	began := time.Now()
	app, err := host.Start(ctx, spec, nil)
	must(t, err)
	t.Logf("it runs after %s", time.Since(began).Round(time.Millisecond))
	posture, err := app.Posture(ctx)
	if !errors.Is(err, sandbox.ErrUnavailable) {
		must(t, err)
	}
	for _, wall := range posture.Walls {
		t.Logf("%-22s stands %-5v %s", wall.Name, wall.Stands, wall.Detail)
	}
	out := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(r)
		out <- string(all)
	}()
	exit, err := app.Wait(ctx)
	must(t, err)
	if got, want := <-out, "linux/"+runtime.GOARCH+" on boxed\n"; got != want || exit.Code != 7 {
		t.Errorf("it said %q and ended with %+v, want %q", got, exit, want)
	}
}

// layer is an image with one program, built here.
func layer(t *testing.T, asImage bool) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"tmp", "etc", "dev", "proc", "sys"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o777))
	buildForLinux(t, filepath.Join(root, "app"), "github.com/consentry/consentry/vmhost/hosttest/app")
	if !asImage {
		return root
	}
	path := filepath.Join(t.TempDir(), "hosttest.ext4")
	f, err := os.Create(path)
	must(t, err)
	from, to := io.Pipe()
	go func() { to.CloseWithError(pack(to, root)) }()
	must(t, errors.Join(tar2ext4.ConvertTarToExt4(from, f), f.Close()))
	return path
}

func pack(to io.Writer, root string) error {
	w := tar.NewWriter(to)
	for _, dir := range []string{"tmp", "etc", "dev", "proc", "sys"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o777}); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(filepath.Join(root, "app"))
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "app", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	return w.Close()
}

func buildForLinux(t *testing.T, to, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", pkg, err, out)
	}
}

// guestFile is a file of the guest: of $CONSENTRY_GUEST, or of bin/guest.
func guestFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("CONSENTRY_GUEST")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin", "guest")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	must(t, err)
	return path
}

func logTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
