package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

func forkSleeper(self string) (int, error) {
	return syscall.ForkExec(self, []string{attack.ProbePath, "sleep"}, nil)
}

func (p *probe) sleep() { time.Sleep(5 * time.Second) }

func (p *probe) foreignCalls() {
	p.tell("x32", x32())
	child := exec.Command("/proc/self/exe", "i386")
	out, err := child.Output()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.Sys().(syscall.WaitStatus).Signaled():
		p.tell("i386", unix.SignalName(ended.Sys().(syscall.WaitStatus).Signal()))
	case err != nil:
		p.tell("i386", err.Error())
	default:
		p.tell("i386", strings.TrimSpace(string(out)))
	}
}

func (p *probe) tiocsti() {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ptmx:", err)
		os.Exit(1)
	}
	const high = uintptr(1) << 32
	p.call("TIOCSTI", unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, room(1))
	p.call("TIOCSTI with high bits", unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI|high, room(1))
	p.call("TIOCLINUX", unix.SYS_IOCTL, uintptr(fd), 0x541C, room(1))
	p.call("TIOCLINUX with high bits", unix.SYS_IOCTL, uintptr(fd), 0x541C|high, room(1))
}

// status tells what this process may, for a parent that started it.
func (p *probe) status() {
	fmt.Println(os.Geteuid(), statusOf("self", "CapEff"), statusOf("self", "CapPrm"), statusOf("self", "NoNewPrivs"), statusOf("self", "Seccomp"))
}

// statusBy runs a copy of this program and returns what it may.
func statusBy(path string) ([]string, error) {
	out, err := exec.Command(path, "status").Output()
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(out))
	if len(fields) != 5 {
		return nil, fmt.Errorf("status says %q", out)
	}
	return fields, nil
}

func (p *probe) memfd() {
	self, err := os.Open("/proc/self/exe")
	must(err)
	fd, err := unix.MemfdCreate("x", 0)
	must(err)
	copied := os.NewFile(uintptr(fd), "memfd")
	_, err = io.Copy(copied, self)
	must(err)
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	readOnly, err := os.Open(path)
	must(err)
	must(copied.Close())
	got, err := statusBy(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), readOnly.Fd()))
	must(err)
	p.tell("capabilities", noCapability(got))
	p.tell("no_new_privs", isOne(got[3], "1"))
	p.tell("seccomp", isOne(got[4], "2"))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func isOne(got, want string) string {
	if got == want {
		return attack.Done
	}
	return got
}

func noCapability(status []string) string {
	if strings.Trim(status[1]+status[2], "0") == "" {
		return attack.None
	}
	return status[1] + " " + status[2]
}

// bounded: root of the image has what docker's root has, or less.
func (p *probe) bounded() {
	const most = 0x1fb // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP
	const more = 1 << unix.CAP_NET_BIND_SERVICE
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		has, err := strconv.ParseUint(statusOf("self", set), 16, 64)
		must(err)
		if has&^(most|more) != 0 {
			p.tell(set, statusOf("self", set))
			continue
		}
		p.tell(set, attack.Done)
	}
	p.tell("CapInh", isOne(statusOf("self", "CapInh"), "0000000000000000"))
	p.tell("CapAmb", isOne(statusOf("self", "CapAmb"), "0000000000000000"))
}

func (p *probe) setuid() {
	got, err := statusBy("/setuid")
	must(err)
	p.tell("user of a set-uid program", got[0])
	p.tell("its capabilities", noCapability(got))
	got, err = statusBy("/filecaps")
	if err != nil {
		p.try("capabilities of a file", err)
		return
	}
	p.tell("capabilities of a file", noCapability(got))
}

func (p *probe) inherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	result := attack.None
	for _, e := range entries {
		what, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || strings.HasPrefix(what, "anon_inode:") || strings.HasPrefix(what, "pipe:") || what == "/dev/null" || strings.HasSuffix(what, "/fd") {
			continue
		}
		result = e.Name() + " is " + what
	}
	p.tell("descriptors", result)
	cwd, err := os.Getwd()
	must(err)
	p.tell("working directory", inside(cwd))
	p.tell("above it", inside("/proc/self/cwd/../../../../../.."))
}

// inside says whether a directory is the root of this sandbox, or in it: the
// probe program itself is there.
func inside(dir string) string {
	for _, name := range []string{filepath.Join(dir, attack.ProbePath), filepath.Join(dir, "..", attack.ProbePath)} {
		if _, err := os.Stat(name); err == nil {
			return attack.Inside
		}
	}
	return dir + " is elsewhere"
}

func (p *probe) overwrite() {
	p.open("exe of init", "/proc/1/exe", unix.O_WRONLY|unix.O_TRUNC)
	_, err := os.Readlink("/proc/1/exe")
	p.try("exe of init by link", err)
	p.open("own exe", "/proc/self/exe", unix.O_WRONLY)
}

func (p *probe) magicLinks() {
	secret := p.targets["file"]
	p.open("root of init", "/proc/1/root"+secret, unix.O_RDONLY)
	p.open("cwd of init", "/proc/1/cwd"+secret, unix.O_RDONLY)
	p.try("descriptors of init", openAny("/proc/1/fd"))
	p.tell("own root", inside("/proc/self/root"))
	p.tell("dots", inside("/../../../.."))
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC}
	_, err := unix.Openat2(unix.AT_FDCWD, "/proc/self/root/.."+secret, &how)
	p.try("host file", err)
}

// openAny tries every descriptor of another process; root of the sandbox may
// see their numbers, and no more.
func openAny(dir string) error {
	err := error(unix.ENOENT)
	for n := range 64 {
		var fd int
		fd, err = unix.Open(filepath.Join(dir, strconv.Itoa(n)), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err == nil {
			unix.Close(fd)
			return nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return err
}

func (p *probe) abstract() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	p.try("host socket", unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + p.targets["abstract"]}))
}

func (p *probe) hostSockets() {
	for try, path := range map[string]string{
		"docker": "/var/run/docker.sock", "containerd": "/run/containerd/containerd.sock", "podman": "/run/podman/podman.sock",
		"system bus": "/run/dbus/system_bus_socket", "user bus": "/run/user/0/bus", "x11": "/tmp/.X11-unix/X0",
		"wayland": "/run/user/0/wayland-0", "agent": p.targets["socket"],
	} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(err)
		p.try(try, unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
		unix.Close(fd)
	}
}

// sharedSocket tries to talk to what serves on a socket in a shared folder.
func (p *probe) sharedSocket() {
	const path = "/shared/served.sock"
	stream, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	p.try("connect", unix.Connect(stream, &unix.SockaddrUnix{Name: path}))
	dgram, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	p.try("send", unix.Sendto(dgram, []byte("x"), 0, &unix.SockaddrUnix{Name: path}))
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		p.try("connect by descriptor", err)
		return
	}
	p.try("connect by descriptor", unix.Connect(stream, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d", at)}))
}

func (p *probe) socket(try string, family, kind, protocol int) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		unix.Close(fd)
	}
	p.try(try, err)
}

func (p *probe) vsock() { p.socket("vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0) }

func (p *probe) raw() {
	const sockPacket = 10
	p.socket("packet", unix.AF_PACKET, unix.SOCK_RAW, 0x300)
	p.socket("raw ip", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	p.socket("raw ip6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	p.socket("old packet", unix.AF_INET, sockPacket, 0x300)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	p.try("transparent", unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1))
	request, err := unix.NewIfreq("lo")
	must(err)
	request.SetUint16(unix.IFF_UP | unix.IFF_PROMISC)
	p.try("promiscuous", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
	p.try("mark", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1))
}

func (p *probe) families() {
	for try, family := range map[string]int{
		"alg": unix.AF_ALG, "xdp": unix.AF_XDP, "bluetooth": unix.AF_BLUETOOTH, "can": unix.AF_CAN,
		"tipc": unix.AF_TIPC, "rds": unix.AF_RDS, "smc": unix.AF_SMC,
	} {
		p.socket(try, family, unix.SOCK_SEQPACKET, 0)
	}
	for try, protocol := range map[string]int{
		"netlink audit": unix.NETLINK_AUDIT, "netlink netfilter": unix.NETLINK_NETFILTER, "netlink xfrm": unix.NETLINK_XFRM,
		"netlink uevent": unix.NETLINK_KOBJECT_UEVENT,
	} {
		p.socket(try, unix.AF_NETLINK, unix.SOCK_RAW, protocol)
	}
	_, err := syscall.NetlinkRIB(unix.RTM_GETROUTE, unix.AF_UNSPEC)
	p.try("route read", err)
	_, err = unix.Socketpair(unix.AF_INET, unix.SOCK_STREAM, 0)
	p.try("pair", err)
	p.try("new route", newRoute())
}

// newRoute asks the kernel for a default route over the loopback.
func newRoute() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	message := make([]byte, 36)
	message[0] = byte(len(message))
	message[4] = unix.RTM_NEWROUTE
	message[6] = unix.NLM_F_REQUEST | unix.NLM_F_ACK
	message[7] = (unix.NLM_F_CREATE | unix.NLM_F_EXCL) >> 8
	copy(message[16:], []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST})
	message[28], message[30], message[32] = 8, unix.RTA_OIF, 1
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < 20 {
		return errors.Join(err, errors.New("no answer"))
	}
	code := int32(answer[16]) | int32(answer[17])<<8 | int32(answer[18])<<16 | int32(answer[19])<<24
	if code == 0 {
		return nil
	}
	return syscall.Errno(-code)
}
