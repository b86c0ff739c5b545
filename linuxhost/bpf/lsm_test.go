//go:build linux

package bpf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost/bpf"
)

const thisPackage = "github.com/consentry/consentry/linuxhost/bpf"

// inGuest says whether this is the machine that a test of the host booted.
func inGuest() bool { return os.Getenv("CONSENTRY_VMTEST") != "" }

// TestLSM boots a kernel that loads LSM programs; inside, it is the test.
func TestLSM(t *testing.T) {
	if !inGuest() {
		for _, kernel := range vmtest.LSMKernels() {
			t.Run(kernel, func(t *testing.T) {
				vmtest.Test(t, thisPackage, "^TestLSM$", vmtest.Config{Kernel: kernel})
			})
		}
		return
	}
	g := newGuest(t)
	t.Run("every hook allows and denies", g.everyHook)
	t.Run("rights of a mount", g.rights)
	t.Run("another network", g.elsewhere)
	t.Run("no policy, full ring", g.outlaw)
	t.Run("strangers", g.strangers)
}

// guest is a fence with a tenant that has a share on a mount of its own.
type guest struct {
	*world
	share string
	mount bpf.Mount   // of the share
	rest  []bpf.Mount // all others
	home  bpf.Sandbox // without mounts
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	g := &guest{share: filepath.Join(t.TempDir(), "share"), home: home(t)}
	must(t, os.MkdirAll(g.share, 0o755))
	must(t, unix.Mount("share", g.share, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(g.share, unix.MNT_DETACH)) })
	write(t, g.share, shareFile, strings.Repeat("x", 8192))
	program, err := os.ReadFile(self(t))
	must(t, err)
	write(t, g.share, shareProgram, string(program))
	must(t, os.MkdirAll(filepath.Join(g.share, shareDir, "inner"), 0o755))
	unixSocket(t, unix.SOCK_STREAM, filepath.Join(g.share, ownStream))
	unixSocket(t, unix.SOCK_DGRAM, filepath.Join(g.share, ownDatagram))
	elsewhere(t, func() {
		unixSocket(t, unix.SOCK_STREAM, filepath.Join(g.share, farStream))
		unixSocket(t, unix.SOCK_DGRAM, filepath.Join(g.share, farDatagram))
	})
	g.world = newWorld(t, "lsm", g.share)
	if g.fence.LSM != nil {
		t.Fatal(g.fence.LSM)
	}
	var st unix.Statx_t
	must(t, unix.Statx(unix.AT_FDCWD, g.share, 0, unix.STATX_MNT_ID_UNIQUE, &st))
	mounts, err := bpf.MountsOf(os.Getpid())
	must(t, err)
	for _, m := range mounts {
		if m.ID == st.Mnt_id {
			g.mount = m
		} else {
			g.rest = append(g.rest, m)
		}
	}
	if g.mount.Rights != bpf.Read|bpf.Write|bpf.Exec {
		t.Fatalf("the share is %+v", g.mount)
	}
	return g
}

// unixSocket leaves a socket bound, and listening, for as long as the test runs.
func unixSocket(t *testing.T, kind int, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	if kind == unix.SOCK_STREAM {
		must(t, unix.Listen(fd, 1))
	}
}

// elsewhere runs f on a thread in a network namespace of its own.
func elsewhere(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

// sandbox is home with all mounts, the share with rights.
func (g *guest) sandbox(rights bpf.Rights) bpf.Sandbox {
	s := g.home
	s.Mounts = append(append([]bpf.Mount{}, g.rest...), bpf.Mount{ID: g.mount.ID, Device: g.mount.Device, Rights: rights})
	return s
}

// reset seals anew: the rights of file systems only grow by grants.
func (g *guest) reset(rights bpf.Rights) {
	g.t.Helper()
	must(g.t, g.rules.Revoke(g.cgroup, g.mount, g.rest))
	g.seal(g.sandbox(rights))
	must(g.t, g.rules.Standing(g.cgroup, g.sandbox(rights)))
}

// allowed is how calls end that no program refuses: some must fail all the
// same, or they could not be tried again.
var allowed = map[string]syscall.Errno{
	"unlink": unix.EISDIR, "rmdir": unix.ENOTEMPTY, "rename": unix.EISDIR,
	"removexattr": unix.ENODATA, "ioctl TIOCSTI": unix.ENOTTY,
}

// sealed is how calls end in a sandbox that was granted all there is.
var sealed = with(allowed, unix.EPERM, "ioctl TIOCSTI", "mknod", "chroot", "mount", "move_mount", "umount", "remount",
	"pivot_root", "process_vm_readv", "bpf", "user namespace", "packet socket", "audit netlink")

func init() {
	sealed = with(sealed, unix.EACCES, "far unix connect", "far unix send")
}

func with(base map[string]syscall.Errno, errno syscall.Errno, names ...string) map[string]syscall.Errno {
	more := map[string]syscall.Errno{}
	for name, e := range base {
		more[name] = e
	}
	for _, name := range names {
		more[name] = errno
	}
	return more
}

func names(list []attempt) []string {
	var out []string
	for _, a := range list {
		if a.name != "ioctl TIOCSTI" && a.name != "mknod" { // refused for what they are
			out = append(out, a.name)
		}
	}
	return out
}

func (g *guest) everyHook(t *testing.T) {
	want(t, "building", g.try(), but(0, with(allowed, unix.EPERM, "mknod"))) // the second line lets nobody make a device
	g.reset(g.mount.Rights)
	want(t, "sealed", g.try(), but(0, sealed))
	must(t, g.rules.Revoke(g.cgroup, g.mount, g.rest))
	want(t, "share taken back", g.try(), but(0, with(sealed, unix.EACCES, names(fileAttempts)...)))
	g.reset(g.mount.Rights)
	want(t, "share given again", g.try(), but(0, sealed))
}

func (g *guest) rights(t *testing.T) {
	g.reset(bpf.Read | bpf.Exec)
	want(t, "to be read", g.try(), but(0, with(sealed, unix.EACCES, "open to write", "write", "ftruncate", "truncate", "utimes",
		"setxattr", "removexattr", "set an ACL", "remove an ACL", "create", "mkfifo", "unlink", "mkdir", "rmdir", "symlink", "link", "rename", "chmod", "chown")))
	g.reset(bpf.Read | bpf.Write)
	want(t, "not to be executed", g.try(), but(0, with(sealed, unix.EACCES, "exec", "mmap to execute", "mprotect")))
}

func (g *guest) elsewhere(t *testing.T) {
	s := g.sandbox(g.mount.Rights)
	s.NetNS++
	g.seal(s)
	want(t, "in another network", g.try(), but(0, with(sealed, unix.EACCES, "bind", "connect", "sendmsg", "listen", "accept",
		"unix connect", "unix send", "receive a descriptor")))
}

func (g *guest) outlaw(t *testing.T) {
	must(t, g.rules.Forget(g.cgroup, g.sandbox(0)))
	expected := but(unix.EACCES, map[string]syscall.Errno{"process_vm_readv": unix.EPERM})
	want(t, "without a policy", g.try(), expected)
	g.everyHookReported("lsm")
	g.sameVerdictsWhenTheRingIsFull(expected)
	if have, all := bpf.Attached(g.fence.Pins, true); have != all || all < 40 {
		t.Errorf("%d of %d links are pinned", have, all)
	}
}

// strangers: processes outside are judged by nothing.
func (g *guest) strangers(t *testing.T) {
	if _, err := os.ReadFile(filepath.Join(g.share, shareFile)); err != nil {
		t.Error(err)
	}
	if err := unix.Mount("x", filepath.Join(g.share, shareDir), "tmpfs", 0, ""); err != nil {
		t.Error(err)
	}
	must(t, unix.Unmount(filepath.Join(g.share, shareDir), unix.MNT_DETACH))
}

// TestWithoutBPFInTheList: LSM programs load and attach there, and deny
// nothing; the wall must not be said to stand.
func TestWithoutBPFInTheList(t *testing.T) {
	if !inGuest() {
		vmtest.Test(t, thisPackage, "^TestWithoutBPFInTheList$", vmtest.Config{Kernel: vmtest.Backports, Append: "lsm=landlock,yama"})
		return
	}
	dir := filepath.Join(unifiedMount(t), "listless")
	must(t, os.Mkdir(dir, 0o755))
	f, err := bpf.Raise(context(), bpf.Config{Cgroup: dir, Name: "listless", Self: self(t)})
	must(t, err)
	if f.LSM == nil || !strings.Contains(f.LSM.Error(), "command line: lsm=") {
		t.Errorf("said of LSM: %v", f.LSM)
	}
	must(t, unix.Unmount("/sys/kernel/security", 0)) // the list cannot be read: the proof decides
	f, err = bpf.Raise(context(), bpf.Config{Cgroup: dir, Name: "listless", Self: self(t)})
	must(t, err)
	if f.LSM == nil || !strings.Contains(f.LSM.Error(), "do not judge") {
		t.Errorf("said of LSM: %v", f.LSM)
	}
	if links, err := filepath.Glob(f.Pins + "/link-lsm*"); err != nil || len(links) > 0 {
		t.Errorf("left attached: %v, %v", links, err)
	}
	fmt.Println(f.LSM)
}
