package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/vmtest/guestjob"
	"github.com/consentry/consentry/kernel/initramfs"
)

// Config is one run. Only Binary has no default.
type Config struct {
	Kernel  string            // Stock or Backports; "" is Backports if it was fetched, else Stock
	Binary  string            // static program on the host
	Args    []string          // of the program, without its name
	Env     []string          // "K=V", beside PATH, HOME and TMPDIR
	Files   map[string]string // more files for the guest, executable: path in the guest → on the host
	Modules []string          // kernel modules beside overlay, fuse and tun
	Memory  int               // MiB; 0 is 768
	Disk    int               // MiB of ext4 on /tmp; 0 leaves /tmp a tmpfs (without user xattrs before Linux 6.6)
	Append  string            // more words of the kernel's command line
	Exact   bool              // the guest's clock counts instructions, one a nanosecond: costs without noise
	Timeout time.Duration     // from power on to power off; 0 is 3 minutes
}

// Result is how a run ended.
type Result struct {
	Exit    int    // of the program; 128+n after signal n
	Output  string // of the program, stdout and stderr
	Console string // of the kernel
}

const (
	defaultMemory  = 768
	defaultTimeout = 3 * time.Minute
	// lsm is the list of security modules that Debian has, and bpf, without
	// which LSM programs load and deny nothing.
	lsm = "lsm=landlock,lockdown,yama,bpf"
)

// Run boots the kernel, runs the program and waits for its end. It skips the
// test where QEMU or the kernel is missing, and fails it when the machine
// ended without the program's exit status.
func Run(t *testing.T, c Config) Result {
	t.Helper()
	k := need(t, c.Kernel)
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	result, err := c.run(t.Context(), t.TempDir(), k)
	if err != nil {
		t.Fatalf("virtual machine with kernel %s: %v\n--- console\n%s\n--- output\n%s", filepath.Base(k.dir), err, result.Console, result.Output)
	}
	return result
}

// need skips the test where it cannot run.
func need(t *testing.T, name string) kernel {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("needs an amd64 machine: the guests' kernels are amd64")
	}
	if _, err := exec.LookPath(qemu); err != nil {
		t.Skipf("needs %s (package qemu-system-x86): %v", qemu, err)
	}
	if name != "" {
		k, err := findKernel(name)
		if err != nil {
			t.Skip(err)
		}
		return k
	}
	k, err := findKernel(Backports)
	if err != nil {
		k, err = findKernel(Stock)
	}
	if err != nil {
		t.Skip(err)
	}
	return k
}

func (c Config) run(ctx context.Context, dir string, k kernel) (Result, error) {
	init, err := buildInit(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	img, err := c.guestImage(init, k)
	if err != nil {
		return Result{}, err
	}
	m := machine{config: c, kernel: k, dir: dir}
	if err := m.prepare(ctx, img); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	output, runErr := m.boot(ctx)
	return m.result(output, runErr)
}

// buildInit compiles the guest's first process.
func buildInit(ctx context.Context, dir string) (string, error) {
	init := filepath.Join(dir, "init")
	return init, goBuild(ctx, "amd64", "build", "-o", init, "github.com/consentry/consentry/internal/vmtest/init")
}

// BuildTest compiles the tests of a package to a static program for the guest.
func BuildTest(t *testing.T, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "guest.test")
	if err := goBuild(t.Context(), "amd64", "test", "-c", "-o", binary, pkg); err != nil {
		t.Fatal(err)
	}
	return binary
}

func goBuild(ctx context.Context, arch string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

const qemu = "qemu-system-x86_64"

type machine struct {
	config Config
	kernel kernel
	dir    string
}

func (m machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m machine) prepare(ctx context.Context, img initramfs.Contents) error {
	packed, err := os.Create(m.path("initramfs"))
	if err != nil {
		return err
	}
	if err := errors.Join(img.Write(packed), packed.Close()); err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	if m.config.Disk == 0 {
		return nil
	}
	cmd := exec.CommandContext(ctx, "/sbin/mke2fs", "-q", "-t", "ext4", m.path("disk"), fmt.Sprintf("%dM", m.config.Disk))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the disk: %w\n%s", err, out)
	}
	return nil
}

func (m machine) args() []string {
	memory := m.config.Memory
	if memory == 0 {
		memory = defaultMemory
	}
	args := []string{
		// Without cx16: in QEMU 7.2 an interrupt right after cmpxchg16b finds
		// garbage in the flags, and one boot in ten dies in the allocator.
		"-M", "q35", "-cpu", "max,-cx16", "-accel", "tcg", "-smp", "1", "-m", fmt.Sprint(memory),
		"-nodefaults", "-no-reboot", "-display", "none", "-no-user-config",
		"-kernel", m.kernel.image(), "-initrd", m.path("initramfs"),
		"-append", "console=ttyS0 quiet panic=-1 " + lsm + " " + m.config.Append,
		"-serial", "file:" + m.path("console"), "-serial", "stdio", "-serial", "file:" + m.path("status"),
	}
	if m.config.Exact {
		args = append(args, "-icount", "shift=0,sleep=off")
	}
	if m.config.Disk > 0 {
		args = append(args, "-drive", "if=virtio,format=raw,cache=unsafe,file="+m.path("disk"))
	}
	return args
}

// boot runs QEMU to its end and returns what the program wrote.
func (m machine) boot(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, qemu, m.args()...)
	var output, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &complaint
	err := cmd.Run()
	if ctx.Err() != nil {
		return output.String(), fmt.Errorf("not done in time: %w", ctx.Err())
	}
	if err != nil {
		return output.String(), fmt.Errorf("%s: %w: %s", qemu, err, complaint.String())
	}
	return output.String(), nil
}

// result reads the exit status; without one the run failed, whatever else it says.
func (m machine) result(output string, runErr error) (Result, error) {
	result := Result{Output: output, Exit: -1}
	console, err := os.ReadFile(m.path("console"))
	if err != nil {
		return result, errors.Join(runErr, err)
	}
	result.Console = string(console)
	if runErr != nil {
		return result, runErr
	}
	status, err := os.Open(m.path("status"))
	if err != nil {
		return result, err
	}
	defer status.Close()
	line, err := bufio.NewReader(io.LimitReader(status, 64)).ReadString('\n')
	if err != nil {
		return result, errors.New("it ended without an exit status of the program")
	}
	if _, err := fmt.Sscanf(line, guestjob.ExitLine, &result.Exit); err != nil {
		return result, fmt.Errorf("exit status %q: %w", line, err)
	}
	return result, nil
}
