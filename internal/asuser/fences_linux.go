package asuser

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BuildFences builds consentry-bpf.
func BuildFences(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "consentry-bpf")
	build := exec.Command("go", "build", "-o", program, "github.com/consentry/consentry/cmd/consentry-bpf")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// Fences runs consentry-bpf for the test, as root does where there is no systemd,
// and returns its socket. At the end no fence may be left, even if it was killed.
func Fences(t testing.TB, program string) (socket string, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start consentry-bpf")
	}
	dir, err := os.MkdirTemp("", "fences") // t.TempDir lies where only root may look
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // for users
	socket = filepath.Join(dir, "sock")
	pins := "/sys/fs/bpf/consentry-users-" + filepath.Base(dir)
	start := func() *exec.Cmd {
		cmd := exec.Command(program, "-listen", socket, "-pins", pins)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		return cmd
	}
	end := func(cmd *exec.Cmd) {
		cmd.Process.Signal(unix.SIGTERM) //nolint:errcheck // it may have been killed
		cmd.Wait()                       //nolint:errcheck // as above
	}
	cmd = start()
	t.Cleanup(func() {
		end(cmd)
		for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
			left, err := os.ReadDir(pins)
			must(t, err)
			if len(left) == 0 {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Errorf("fences that are left: %v", left)
				break
			}
			next := start() // after one that was killed the next cleans up
			time.Sleep(300 * time.Millisecond)
			end(next)
		}
		must(t, os.RemoveAll(pins))
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(socket); err == nil && info.Mode().Perm() == 0o666 {
			return socket, cmd
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("consentry-bpf does not serve")
		}
	}
}
