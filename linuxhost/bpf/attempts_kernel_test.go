//go:build linux

package bpf_test

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// mounted mounts on the share's directory, and takes it away.
func mounted(t *tenant) error {
	at := t.path(shareDir)
	err := unix.Mount("x", at, "tmpfs", 0, "")
	if err == nil {
		return unix.Unmount(at, unix.MNT_DETACH)
	}
	return err
}

// moved moves a copy of the share over the share's directory.
func moved(t *tenant) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, t.share, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	at := t.path(shareDir)
	err = unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err == nil {
		return unix.Unmount(at, unix.MNT_DETACH)
	}
	return err
}

// peek reads the memory of our parent, which is no process of the sandbox.
func peek(*tenant) error {
	var got [8]byte
	local := []unix.Iovec{{Base: &got[0], Len: 8}}
	remote := []unix.RemoteIovec{{Base: 0x1000, Len: 8}} // nothing is mapped there
	_, err := unix.ProcessVMReadv(os.Getppid(), local, remote, 0)
	if err == unix.EFAULT {
		return nil
	}
	return err
}

func bpfCall(*tenant) error {
	var attr [128]byte // a map of no type
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), uintptr(len(attr)))
	if errno == unix.EINVAL {
		return nil
	}
	return errno
}

func pivot(*tenant) error {
	err := unix.PivotRoot("/", "/")
	if err == unix.EBUSY || err == unix.EINVAL {
		return nil
	}
	return err
}

// remounted changes nothing, by the way that mount's hook does not see.
func remounted(t *tenant) error {
	picked, err := unix.Fspick(unix.AT_FDCWD, t.share, unix.FSPICK_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(picked)
	return unix.FsconfigReconfigure(picked)
}

func unmounted(t *tenant) error {
	err := unix.Unmount(t.share, unix.MNT_EXPIRE) // busy, as files are open
	if err == unix.EBUSY || err == unix.EAGAIN {
		return nil
	}
	return err
}

// kernelAttempts are what no tenant may do, whatever it was granted.
var kernelAttempts = []attempt{
	{"chroot", bpf.HookChroot, nil, func(*tenant) error { return unix.Chroot("/") }},
	{"mount", bpf.HookMount, nil, mounted},
	{"move_mount", bpf.HookMoveMount, nil, moved},
	{"umount", bpf.HookUmount, nil, unmounted},
	{"remount", bpf.HookRemount, nil, remounted},
	{"pivot_root", bpf.HookPivotRoot, nil, pivot},
	{"process_vm_readv", bpf.HookPtrace, nil, peek},
	{"bpf", bpf.HookBPF, nil, bpfCall},
	{"user namespace", bpf.HookUserns, nil, run(unix.CLONE_NEWUSER)},
}

// toUnix calls f with a new socket and the address of one on the share: "own"
// is of our network, "far" of another.
func toUnix(kind int, name string, f func(fd int, to unix.Sockaddr) error) func(*tenant) error {
	return func(t *tenant) error {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		err = f(fd, &unix.SockaddrUnix{Name: t.path(name)})
		if errors.Is(err, unix.EAGAIN) {
			return nil // its queue is full
		}
		return err
	}
}

func sendUnix(fd int, to unix.Sockaddr) error { return unix.Sendto(fd, []byte("x"), 0, to) }

func listen(t *tenant) error { return unix.Listen(t.held["l"], 1) }

func accept(t *tenant) error {
	_, _, err := unix.Accept(t.held["l"])
	if err == unix.EAGAIN {
		return nil
	}
	return err
}

// The sockets on the share.
const (
	ownStream   = "own-stream"
	farStream   = "far-stream"
	ownDatagram = "own-datagram"
	farDatagram = "far-datagram"
)

// socketAttempts are judged by the network namespace of the socket.
var socketAttempts = []attempt{
	{"packet socket", bpf.HookSocket, nil, open(unix.AF_PACKET, unix.SOCK_DGRAM, 0)},
	{"audit netlink", bpf.HookSocket, nil, open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT)},
	{"route netlink", bpf.HookSocket, nil, open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)},
	{"stream socket", bpf.HookSocket, nil, open(unix.AF_INET, unix.SOCK_STREAM, 0)},
	{"bind", bpf.HookBind, socket("b", unix.AF_INET, unix.SOCK_STREAM), bind("b", unix.AF_INET)},
	{"connect", bpf.HookConnect, socket("c", unix.AF_INET, unix.SOCK_DGRAM), connect("c", unix.AF_INET)},
	{"sendmsg", bpf.HookSendmsg, socket("s", unix.AF_INET, unix.SOCK_DGRAM), sendTo("s", unix.AF_INET)},
	{"listen", bpf.HookListen, socket("l", unix.AF_INET, unix.SOCK_STREAM), listen},
	{"accept", bpf.HookAccept, listen, accept},
	{"unix connect", bpf.HookUnixConnect, nil, toUnix(unix.SOCK_STREAM, ownStream, unix.Connect)},
	{"far unix connect", bpf.HookUnixConnect, nil, toUnix(unix.SOCK_STREAM, farStream, unix.Connect)},
	{"unix send", bpf.HookUnixSend, nil, toUnix(unix.SOCK_DGRAM, ownDatagram, sendUnix)},
	{"far unix send", bpf.HookUnixSend, nil, toUnix(unix.SOCK_DGRAM, farDatagram, sendUnix)},
}
