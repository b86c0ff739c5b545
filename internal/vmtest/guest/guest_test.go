//go:build linux

package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestKernelVersion(t *testing.T) {
	release := read(t, "/proc/sys/kernel/osrelease")
	if want := os.Getenv("WANT_RELEASE"); release != want {
		t.Fatalf("kernel %s, want %s", release, want)
	}
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	if errA != nil || errB != nil || a < 6 || a == 6 && b < 1 {
		t.Fatalf("kernel %s is older than 6.1", release)
	}
}

func TestSecurityModules(t *testing.T) {
	active := strings.Split(read(t, "/sys/kernel/security/lsm"), ",")
	for _, want := range []string{"capability", "landlock", "bpf"} {
		found := false
		for _, name := range active {
			found = found || name == want
		}
		if !found {
			t.Errorf("%s is not among %v", want, active)
		}
	}
}

// startedAgain are the programs that a test starts from this very binary.
var startedAgain = map[string]func() error{
	"namespace": insideNamespace,
	"pivot":     insidePivot,
}

func TestMain(m *testing.M) {
	if part := os.Getenv("START_AGAIN"); part != "" {
		if err := startedAgain[part](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// On the machine itself the answers would be those of another kernel.
	if os.Getenv("CONSENTRY_VMTEST") == "" {
		fmt.Println("runs inside the virtual machine of internal/vmtest only")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func startAgain(t *testing.T, part string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"START_AGAIN=" + part}
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestUserNamespace(t *testing.T) {
	if err := os.MkdirAll("/root/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	startAgain(t, "namespace", &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		UidMappings: ids,
		GidMappings: ids,
		Credential:  &syscall.Credential{},
	})
}

// insideNamespace must be root over its own mounts and over nothing else.
func insideNamespace() error {
	if os.Getuid() != 0 || os.Getpid() != 1 {
		return fmt.Errorf("uid %d, pid %d, want 0 and 1", os.Getuid(), os.Getpid())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount in the namespace: %w", err)
	}
	if _, err := os.ReadDir("/root/closed"); !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("a folder of the guest's root: %w, want permission denied", err)
	}
	return nil
}

func TestPivotRoot(t *testing.T) {
	startAgain(t, "pivot", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
}

func insidePivot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := unix.Chdir("/run"); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	entries, err := os.ReadDir("/")
	if err != nil || len(entries) > 0 {
		return fmt.Errorf("the new root has %v, %w", entries, err)
	}
	return nil
}

func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower := filepath.Join(dir, "lower", "file")
	if err := os.WriteFile(lower, []byte("below"), 0o600); err != nil {
		t.Fatal(err)
	}
	merged := filepath.Join(dir, "merged")
	options := "userxattr,lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper,workdir=" + dir + "/work"
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(merged, 0)
	if err := os.WriteFile(filepath.Join(merged, "file"), []byte("above"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, lower); got != "below" {
		t.Errorf("the lower file is now %q", got)
	}
	if got := read(t, filepath.Join(dir, "upper", "file")); got != "above" {
		t.Errorf("the upper file is %q", got)
	}
}
