package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// outsideID is the first id that the app does not have.
const outsideID = 65536

// rootPower is what a root with chown, setuid and the like may try further.
func (p *probe) rootPower() {
	file := "/tmp/root-power"
	must(os.WriteFile(file, []byte("x"), 0o600))
	p.try("chown to an own id", unix.Chown(file, 1000, 1000))
	p.try("read another user's file", readable(file))
	p.try("chown to an id outside", unix.Chown(file, outsideID, outsideID))
	p.try("become an id outside", unix.Setresuid(outsideID, outsideID, outsideID))
	p.try("groups outside", unix.Setgroups([]int{outsideID}))
	p.try("raise SYS_ADMIN", raise(unix.CAP_SYS_ADMIN))
	p.try("raise NET_ADMIN", raise(unix.CAP_NET_ADMIN))
	p.try("ambient SYS_ADMIN", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0))
	p.try("capabilities for a file", unix.Setxattr(file, "security.capability", fileCapabilities(), 0))
	p.try("trusted attribute", unix.Setxattr(file, "trusted.overlay.opaque", []byte("y"), 0))
	p.try("fifo", unix.Mknod(filepath.Join("/tmp", "fifo"), unix.S_IFIFO|0o600, 0))
	p.try("block device", unix.Mknod("/tmp/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0))))
	p.try("own sysctl", unix.Chmod("/proc/sys/kernel/core_pattern", 0o666))
	p.write("oom score", "/proc/self/oom_score_adj", "-1000")
	p.try("priority", unix.Setpriority(unix.PRIO_PROCESS, 0, -20))
	p.try("open files", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}))
	p.try("host name", unix.Sethostname([]byte("x")))
	p.try("address of the card", changeCard())
	p.tell("set-uid program made here", p.madeSetuid())
}

func readable(path string) error {
	_, err := os.ReadFile(path)
	return err
}

// raise asks for one more capability.
func raise(capability uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[capability/32].Permitted |= 1 << (capability % 32)
	sets[capability/32].Effective |= 1 << (capability % 32)
	return unix.Capset(&header, &sets[0])
}

// fileCapabilities is a version 2 attribute with everything in it.
func fileCapabilities() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	for range 2 {
		b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	return b
}

func changeCard() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr([]byte{127, 0, 0, 9}); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// madeSetuid makes a set-uid program and lets another user run it: whose
// effective id it has.
func (p *probe) madeSetuid() string {
	const path = "/tmp/made"
	text, err := os.ReadFile("/proc/self/exe")
	must(err)
	must(os.WriteFile(path, text, 0o755))
	must(unix.Chmod(path, 0o755|unix.S_ISUID|unix.S_ISGID))
	out, err := os.Create("/tmp/made.out")
	must(err)
	defer out.Close()
	pid, err := syscall.ForkExec(path, []string{path, "status"}, &syscall.ProcAttr{
		Files: []uintptr{0, out.Fd(), 2},
		Sys:   &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}},
	})
	must(err)
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, 0, nil)
	must(err)
	said, err := os.ReadFile(out.Name())
	must(err)
	id, fields := "", strings.Fields(string(said))
	if len(fields) == 5 {
		id = fields[0]
		if noCapability(fields) != attack.None {
			id += " with capabilities"
		}
	}
	if id == "1000" {
		return attack.None
	}
	return "id " + id
}
