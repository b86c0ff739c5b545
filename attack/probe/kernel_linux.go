package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// text returns a NUL-terminated string for a system call.
func text(s string) uintptr {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(b))
}

// kept keeps what system calls point to; this program ends soon.
var kept []any

// room is zeroed memory for a system call to read or write.
func room(n int) uintptr {
	b := make([]byte, n)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

func (p *probe) namespaces() {
	p.try("unshare user", unix.Unshare(unix.CLONE_NEWUSER))
	p.try("unshare mount", unix.Unshare(unix.CLONE_NEWNS))
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno != 0 {
		p.try("clone user", errno)
	} else {
		p.tell("clone user", attack.Done)
	}
	p.call("clone3", unix.SYS_CLONE3, room(88), 0) // size 0: EINVAL where the filter lets it pass
	ns, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Setns(ns, 0)
	}
	p.try("setns", err)
}

func (p *probe) mounts() {
	p.try("mount", unix.Mount("x", "/tmp", "tmpfs", 0, ""))
	p.try("bind", unix.Mount("/bin", "/tmp", "", unix.MS_BIND, ""))
	p.try("remount", unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	p.try("umount", unix.Unmount("/proc/kcore", unix.MNT_DETACH))
	p.call("fsopen", unix.SYS_FSOPEN, text("tmpfs"), 0)
	p.call("fsmount", unix.SYS_FSMOUNT, ^uintptr(0), 0, 0)
	p.call("open_tree", unix.SYS_OPEN_TREE, atCWD, text("/"), unix.OPEN_TREE_CLONE)
	p.call("move_mount", unix.SYS_MOVE_MOUNT, atCWD, text("/bin"), atCWD, text("/tmp"), 0)
	p.call("mount_setattr", unix.SYS_MOUNT_SETATTR, atCWD, text("/"), 0, room(32), 32)
	p.try("pivot_root", unix.PivotRoot("/tmp", "/tmp"))
	p.try("chroot", unix.Chroot("/tmp"))
}

const atCWD = ^uintptr(99) // AT_FDCWD, -100

func (p *probe) handles() {
	_, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/", 0)
	p.try("name_to_handle_at", err)
	_, err = unix.OpenByHandleAt(unix.AT_FDCWD, unix.NewFileHandle(1, make([]byte, 8)), 0)
	p.try("open_by_handle_at", err)
}

func (p *probe) releaseAgent() {
	p.write("write release_agent", "/sys/fs/cgroup/memory/release_agent", "/tmp/x")
	p.try("mount cgroup", unix.Mount("cgroup", "/tmp", "cgroup", 0, "memory"))
	found, err := filepath.Glob("/sys/fs/cgroup/*")
	if err == nil && len(found) == 0 {
		p.tell("cgroup files", attack.None)
		return
	}
	p.tell("cgroup files", "seen")
}

func (p *probe) kernelKnobs() {
	for try, path := range map[string]string{
		"core_pattern": "/proc/sys/kernel/core_pattern", "modprobe": "/proc/sys/kernel/modprobe", "hostname": "/proc/sys/kernel/hostname",
		"suid_dumpable": "/proc/sys/fs/suid_dumpable", "binfmt_misc": "/proc/sys/fs/binfmt_misc/register",
		"uevent_helper": "/sys/kernel/uevent_helper", "ip_forward": "/proc/sys/net/ipv4/ip_forward",
	} {
		p.write(try, path, "|/tmp/x")
	}
}

func (p *probe) kernelFiles() {
	p.open("sysrq-trigger", "/proc/sysrq-trigger", unix.O_WRONLY)
	for try, path := range map[string]string{
		"kcore": "/proc/kcore", "kallsyms": "/proc/kallsyms", "kmsg": "/proc/kmsg", "keys": "/proc/keys", "timer_list": "/proc/timer_list",
	} {
		p.open(try, path, unix.O_RDONLY)
	}
	entries, err := os.ReadDir("/sys/firmware")
	switch {
	case err != nil:
		p.try("firmware", err)
	case len(entries) == 0:
		p.tell("firmware", attack.Empty)
	default:
		p.tell("firmware", "seen")
	}
	_, err = unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, make([]byte, 100))
	p.try("kernel log", err)
}

func (p *probe) devices() {
	for try, dev := range map[string]uint64{"mknod mem": unix.Mkdev(1, 1), "mknod kvm": unix.Mkdev(10, 232)} {
		p.try(try, unix.Mknod("/tmp/d", unix.S_IFCHR|0o666, int(dev)))
	}
	p.try("mknod disk", unix.Mknod("/tmp/b", unix.S_IFBLK|0o666, int(unix.Mkdev(8, 0))))
	p.open("open mem", "/dev/mem", unix.O_RDWR)
	p.open("open kmsg", "/dev/kmsg", unix.O_RDONLY)
	p.open("open disk", "/dev/"+p.targets["disk"], unix.O_RDONLY)
	p.open("open tun", "/dev/net/tun", unix.O_RDWR)
	p.open("open kvm", "/dev/kvm", unix.O_RDWR)
	p.open("open fuse", "/dev/fuse", unix.O_RDWR)
}

func (p *probe) otherMemory() {
	const seize = 0x4206
	outsider := uintptr(p.outsider())
	p.call("ptrace init", unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1)
	p.call("seize init", unix.SYS_PTRACE, seize, 1)
	p.call("ptrace outsider", unix.SYS_PTRACE, unix.PTRACE_ATTACH, outsider)
	p.call("read memory of init", unix.SYS_PROCESS_VM_READV, 1, 0, 0, 0, 0, 0)
	p.call("write memory of init", unix.SYS_PROCESS_VM_WRITEV, 1, 0, 0, 0, 0, 0)
	p.open("open mem of init", "/proc/1/mem", unix.O_RDWR)
	p.open("open mem of outsider", "/proc/"+p.targets["pid"]+"/mem", unix.O_RDWR)
	p.open("environment of init", "/proc/1/environ", unix.O_RDONLY)
}

func (p *probe) pidfd() {
	fd, err := unix.PidfdOpen(p.outsider(), 0)
	p.try("pidfd_open outsider", err)
	if err != nil {
		fd, err = unix.PidfdOpen(1, 0)
	}
	if err == nil {
		_, err = unix.PidfdGetfd(fd, 3, 0)
	}
	p.try("pidfd_getfd init", err)
}

func (p *probe) killAll() {
	p.try("kill outsider", unix.Kill(p.outsider(), unix.SIGKILL))
	p.try("kill init", unix.Kill(1, unix.SIGKILL))
	p.try("kill -1", unix.Kill(-1, unix.SIGKILL))
}

// killInit signals PID 1 as its own user does: whatever it does with that, the
// sandbox goes on, or the app would have lost its parent.
func (p *probe) killInit() {
	for _, s := range []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGQUIT, unix.SIGSTOP, unix.SIGUSR1, unix.SIGHUP} {
		//nolint:errcheck // the effect is what counts
		unix.Kill(1, s)
	}
	state := statusOf("1", "State")
	if len(state) > 0 && (state[0] == 'S' || state[0] == 'R') && os.Getppid() == 1 {
		state = attack.Done
	}
	p.tell("init after signals", state)
}

func (p *probe) bpf() {
	p.call("prog load", unix.SYS_BPF, unix.BPF_PROG_LOAD, room(128), 128)
	p.call("map create", unix.SYS_BPF, unix.BPF_MAP_CREATE, room(128), 128)
}

func (p *probe) perf() {
	_, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}, 0, -1, -1, 0)
	p.try("perf_event_open", err)
}

func (p *probe) userfaultfd() {
	p.call("userfaultfd", unix.SYS_USERFAULTFD, 0)
	p.call("user mode only", unix.SYS_USERFAULTFD, 1)
}

func (p *probe) keys() {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
	p.try("keyctl", err)
	_, err = unix.AddKey("user", "x", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
	p.try("add_key", err)
	_, err = unix.RequestKey("user", "x", "", unix.KEY_SPEC_PROCESS_KEYRING)
	p.try("request_key", err)
}

func (p *probe) ioUring() {
	p.call("setup", unix.SYS_IO_URING_SETUP, 1, room(120))
	p.call("enter", unix.SYS_IO_URING_ENTER, 0)
	p.call("register", unix.SYS_IO_URING_REGISTER, 0)
}

func (p *probe) modules() {
	p.call("init_module", unix.SYS_INIT_MODULE, room(8), 8, text(""))
	p.call("finit_module", unix.SYS_FINIT_MODULE, 0, text(""), 0)
	p.call("delete_module", unix.SYS_DELETE_MODULE, text("nothing"), 0)
	p.call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	p.call("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, 0, 0, 0, 0, 0)
	p.call("reboot", unix.SYS_REBOOT, 0, 0, 0) // wrong magic: EINVAL where the filter lets it pass
}

func (p *probe) memoryBomb() {
	var all [][]byte
	for {
		block := make([]byte, 16<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		all = append(all, block)
		runtime.KeepAlive(all)
	}
}

func (p *probe) exhaustion() {
	var fds []int
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			p.try("inotify", err)
			break
		}
		fds = append(fds, fd)
	}
	for {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			p.try("descriptors", err)
			return
		}
		fds = append(fds, fd)
	}
}

func (p *probe) forkBomb() {
	self := "/proc/self/exe"
	for range 10_000 {
		_, err := forkSleeper(self)
		if err != nil {
			p.try("fork", err)
			return
		}
	}
	p.try("fork", errors.New("10,000 processes started"))
}
