//go:build linux

package bpf_test

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// attempts by set. "cgroup" are those that the second line judges, "lsm" those
// of the first.
var attempts = map[string][]attempt{
	"cgroup": cgroupAttempts,
	"lsm":    append(append(append([]attempt{}, fileAttempts...), kernelAttempts...), socketAttempts...),
}

func (t *tenant) hold(name string, fd int, err error) error {
	t.held[name] = fd
	return err
}

// socket prepares a socket while sockets are allowed.
func socket(name string, family, kind int) func(*tenant) error {
	return func(t *tenant) error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return t.hold(name, fd, err)
	}
}

// open opens a socket and closes it.
func open(family, kind, protocol int) func(*tenant) error {
	return func(*tenant) error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

func at(family int, port int) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr("127.0.0.1").As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: netip.IPv6Loopback().As16()}
}

// discard is a port where nobody listens.
const discard = 9

func connect(name string, family int) func(*tenant) error {
	return func(t *tenant) error { return unix.Connect(t.held[name], at(family, discard)) }
}

func sendTo(name string, family int) func(*tenant) error {
	return func(t *tenant) error { return unix.Sendto(t.held[name], []byte("x"), 0, at(family, discard)) }
}

// bind binds a socket of its own, made before, to any free port; a second time
// it is bound already.
func bind(name string, family int) func(*tenant) error {
	return func(t *tenant) error {
		err := unix.Bind(t.held[name], at(family, 0))
		if errors.Is(err, syscall.EINVAL) {
			return nil
		}
		return err
	}
}

func openDevice(path string) func(*tenant) error {
	return func(*tenant) error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

// writeKnob writes a sysctl back as it is.
func writeKnob(*tenant) error {
	const knob = "/proc/sys/net/ipv4/ip_default_ttl"
	fd, err := unix.Open(knob, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var value [16]byte
	n, err := unix.Pread(fd, value[:], 0)
	if err != nil {
		return err
	}
	_, err = unix.Pwrite(fd, value[:n], 0)
	return err
}

var cgroupAttempts = []attempt{
	{"tcp socket", bpf.HookCgroupSocket, nil, open(unix.AF_INET, unix.SOCK_STREAM, 0)},
	{"udp6 socket", bpf.HookCgroupSocket, nil, open(unix.AF_INET6, unix.SOCK_DGRAM, 0)},
	{"raw socket", bpf.HookCgroupSocket, nil, open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
	{"connect4", bpf.HookCgroupConnect, socket("c4", unix.AF_INET, unix.SOCK_DGRAM), connect("c4", unix.AF_INET)},
	{"connect6", bpf.HookCgroupConnect, socket("c6", unix.AF_INET6, unix.SOCK_DGRAM), connect("c6", unix.AF_INET6)},
	{"sendmsg4", bpf.HookCgroupSendmsg, socket("s4", unix.AF_INET, unix.SOCK_DGRAM), sendTo("s4", unix.AF_INET)},
	{"sendmsg6", bpf.HookCgroupSendmsg, socket("s6", unix.AF_INET6, unix.SOCK_DGRAM), sendTo("s6", unix.AF_INET6)},
	{"bind4", bpf.HookCgroupBind, socket("b4", unix.AF_INET, unix.SOCK_STREAM), bind("b4", unix.AF_INET)},
	{"bind6", bpf.HookCgroupBind, socket("b6", unix.AF_INET6, unix.SOCK_STREAM), bind("b6", unix.AF_INET6)},
	{"/dev/null", bpf.HookCgroupDevice, nil, openDevice("/dev/null")},
	{"/dev/kmsg", bpf.HookCgroupDevice, nil, openDevice("/dev/kmsg")},
	{"sysctl", bpf.HookCgroupSysctl, nil, writeKnob},
}
