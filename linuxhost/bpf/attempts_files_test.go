//go:build linux

package bpf_test

import (
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// What lies on the share: a file, a program, and a directory with a file in it.
const (
	shareFile    = "file"
	shareProgram = "program"
	shareDir     = "dir"
)

func (t *tenant) path(name string) string { return filepath.Join(t.share, name) }

// keep opens the share's file while that is allowed.
func keep(name string, flags int) func(*tenant) error {
	return func(t *tenant) error {
		fd, err := unix.Open(t.path(shareFile), flags|unix.O_CLOEXEC, 0)
		return t.hold(name, fd, err)
	}
}

func opened(flags int) func(*tenant) error {
	return func(t *tenant) error {
		fd, err := unix.Open(t.path(shareFile), flags|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

// made makes something and removes it; what cannot be removed is the test's to
// remove.
func made(path string, f func(path string) error, undo func(string) error) func(*tenant) error {
	return func(t *tenant) error {
		err := f(t.path(path))
		if err == nil {
			//nolint:errcheck // denied, perhaps
			undo(t.path(path))
		}
		return err
	}
}

// onFile calls f with the share's file.
func onFile(f func(path string) error) func(*tenant) error {
	return func(t *tenant) error { return f(t.path(shareFile)) }
}

// mapped maps the share's file, and unmaps it.
func mapped(protection int) func(*tenant) error {
	return func(t *tenant) error {
		memory, err := unix.Mmap(t.held["map"], 0, 4096, protection, unix.MAP_PRIVATE)
		if err == nil {
			unix.Munmap(memory)
		}
		return err
	}
}

var protected []byte

func prepareProtected(t *tenant) (err error) {
	fd, err := unix.Open(t.path(shareFile), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	protected, err = unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	return err
}

func protect(*tenant) error {
	if err := unix.Mprotect(protected, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return err
	}
	return unix.Mprotect(protected, unix.PROT_READ)
}

// run starts the share's program and waits for it. A child that may not even
// tell why it could not exec ends with 253.
func run(flags uintptr) func(*tenant) error {
	return func(t *tenant) error {
		pid, err := syscall.ForkExec(t.path(shareProgram), []string{"program", "nothing"}, &syscall.ProcAttr{
			Env: []string{"GOMAXPROCS=1"}, Sys: &syscall.SysProcAttr{Cloneflags: flags},
		})
		if err != nil {
			return err
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
			return err
		}
		if status.ExitStatus() == 253 {
			return unix.EACCES
		}
		if status.ExitStatus() != 0 {
			return unix.EPROTO
		}
		return nil
	}
}

// pair are two sockets joined.
func pair(t *tenant) error {
	both, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	t.held["to"], t.held["from"] = both[0], both[1]
	return err
}

// receive sends the share's file to itself.
func receive(t *tenant) error {
	if err := unix.Sendmsg(t.held["to"], []byte("x"), unix.UnixRights(t.held["r"]), nil, 0); err != nil {
		return err
	}
	var data [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	_, n, flags, _, err := unix.Recvmsg(t.held["from"], data[:], control, 0)
	if err != nil {
		return err
	}
	if n == 0 || flags&unix.MSG_CTRUNC != 0 {
		return unix.EACCES
	}
	return unix.Close(int(*(*int32)(unsafe.Pointer(&control[unix.CmsgLen(0)]))))
}

func ioctl(name string, request uintptr) func(*tenant) error {
	return func(t *tenant) error {
		var out int
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(t.held[name]), request, uintptr(unsafe.Pointer(&out)))
		if errno != 0 {
			return errno
		}
		return nil
	}
}

const accessACL = "system.posix_acl_access"

// ownerACL is version 2, then tag, permissions and id of owner, group, others.
var ownerACL = []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}

// fileAttempts are judged by the mount of the share. What must not succeed
// twice is tried where it cannot: the kernel asks first.
var fileAttempts = []attempt{
	{"open", bpf.HookOpen, nil, opened(unix.O_RDONLY)},
	{"open to write", bpf.HookOpen, nil, opened(unix.O_WRONLY)},
	{"read", bpf.HookPermission, keep("r", unix.O_RDONLY), func(t *tenant) error {
		_, err := unix.Pread(t.held["r"], make([]byte, 1), 0)
		return err
	}},
	{"write", bpf.HookPermission, keep("w", unix.O_WRONLY), func(t *tenant) error {
		_, err := unix.Pwrite(t.held["w"], []byte("x"), 0)
		return err
	}},
	{"receive a descriptor", bpf.HookReceive, pair, receive},
	{"mmap", bpf.HookMmap, keep("map", unix.O_RDONLY), mapped(unix.PROT_READ)},
	{"mmap to execute", bpf.HookMmap, nil, mapped(unix.PROT_READ | unix.PROT_EXEC)},
	{"mprotect", bpf.HookMprotect, prepareProtected, protect},
	{"ioctl", bpf.HookIoctl, nil, ioctl("r", unix.TIOCINQ)},
	{"ioctl TIOCSTI", bpf.HookIoctl, nil, ioctl("r", unix.TIOCSTI)},
	{"flock", bpf.HookLock, nil, func(t *tenant) error { return unix.Flock(t.held["r"], unix.LOCK_SH|unix.LOCK_NB) }},
	{"fcntl", bpf.HookFcntl, nil, func(t *tenant) error {
		_, err := unix.FcntlInt(uintptr(t.held["r"]), unix.F_GETFL, 0)
		return err
	}},
	{"ftruncate", bpf.HookTruncate, nil, func(t *tenant) error { return unix.Ftruncate(t.held["w"], 8192) }},
	{"truncate", bpf.HookTruncate, nil, onFile(func(p string) error { return unix.Truncate(p, 8192) })},
	{"exec", bpf.HookExec, nil, run(0)},
	{"stat", bpf.HookGetattr, nil, onFile(func(p string) error { return unix.Stat(p, new(unix.Stat_t)) })},
	{"utimes", bpf.HookSetattr, nil, onFile(func(p string) error { return unix.Utimes(p, make([]unix.Timeval, 2)) })},
	{"setxattr", bpf.HookXattr, nil, onFile(func(p string) error { return unix.Setxattr(p, "trusted.test", []byte("1"), 0) })},
	{"removexattr", bpf.HookXattr, nil, onFile(func(p string) error { return unix.Removexattr(p, "trusted.none") })},
	{"set an ACL", bpf.HookXattr, nil, onFile(func(p string) error { return unix.Setxattr(p, accessACL, ownerACL, 0) })},
	{"remove an ACL", bpf.HookXattr, nil, onFile(func(p string) error { return unix.Removexattr(p, accessACL) })},
	{"create", bpf.HookCreate, nil, made("new", func(p string) error {
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_CLOEXEC, 0o600)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}, unix.Unlink)},
	{"mkfifo", bpf.HookCreate, nil, made("fifo", func(p string) error { return unix.Mkfifo(p, 0o600) }, unix.Unlink)},
	{"mknod", bpf.HookCreate, nil, made("null", func(p string) error {
		return unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
	}, unix.Unlink)},
	{"unlink", bpf.HookUnlink, nil, func(t *tenant) error { return unix.Unlink(t.path(shareDir)) }},
	{"mkdir", bpf.HookMkdir, nil, made("more", func(p string) error { return unix.Mkdir(p, 0o700) }, unix.Rmdir)},
	{"rmdir", bpf.HookRmdir, nil, func(t *tenant) error { return unix.Rmdir(t.path(shareDir)) }},
	{"symlink", bpf.HookSymlink, nil, made("link", func(p string) error { return unix.Symlink("file", p) }, unix.Unlink)},
	{"link", bpf.HookLink, nil, func(t *tenant) error {
		err := unix.Link(t.path(shareFile), t.path("hard"))
		if err == nil {
			unix.Unlink(t.path("hard"))
		}
		return err
	}},
	{"rename", bpf.HookRename, nil, func(t *tenant) error {
		return unix.Rename(t.path(shareFile), t.path(shareDir))
	}},
	{"chmod", bpf.HookChmod, nil, onFile(func(p string) error { return unix.Chmod(p, 0o755) })},
	{"chown", bpf.HookChown, nil, onFile(func(p string) error { return unix.Chown(p, 0, 0) })},
}
