package agent

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// hearTrouble makes the kernel keep what ICMP says of the datagrams of udp, the
// errors that may pass included, which it else tells nobody (ip(7), IP_RECVERR).
func hearTrouble(udp *net.UDPConn) error {
	if isIPv6(udp) {
		return setOption(udp, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	return setOption(udp, unix.SOL_IP, unix.IP_RECVERR, 1)
}

// mayCut says whether the kernel may cut a datagram that is larger than the path
// takes. Where it may not, sending one is EMSGSIZE, and the error queue has the
// size.
func mayCut(udp *net.UDPConn, yes bool) error {
	if isIPv6(udp) {
		return setOption(udp, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, discovery(yes, unix.IPV6_PMTUDISC_WANT, unix.IPV6_PMTUDISC_DO))
	}
	return setOption(udp, unix.SOL_IP, unix.IP_MTU_DISCOVER, discovery(yes, unix.IP_PMTUDISC_WANT, unix.IP_PMTUDISC_DO))
}

func discovery(cut bool, want, do int) int {
	if cut {
		return want
	}
	return do
}

func isIPv6(udp *net.UDPConn) bool {
	to, ok := udp.RemoteAddr().(*net.UDPAddr)
	return ok && to.IP.To4() == nil
}

func setOption(udp *net.UDPConn, level, option, value int) error {
	return control(udp, func(fd int) error { return unix.SetsockoptInt(fd, level, option, value) })
}

// troubles takes what ICMP has said of the datagrams of udp.
func troubles(udp *net.UDPConn) (said []sandbox.Trouble) {
	//nolint:errcheck // the queue is empty, or the socket has gone
	control(udp, func(fd int) error {
		var data [1]byte // of the datagram: of no interest
		var oob [256]byte
		for {
			_, n, _, _, err := unix.Recvmsg(fd, data[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return err
			}
			if t, ok := readTrouble(oob[:n]); ok {
				said = append(said, t)
			}
		}
	})
	return said
}

func control(udp *net.UDPConn, do func(fd int) error) error {
	raw, err := udp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// extendedErrorLen is the size of struct sock_extended_err (linux/errqueue.h):
// the error in 4 bytes; origin, type, code and padding; info and data in 4 each.
const extendedErrorLen = 16

// readTrouble finds the ICMP error in the control messages of an error queue.
func readTrouble(oob []byte) (sandbox.Trouble, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return sandbox.Trouble{}, false
	}
	for _, m := range messages {
		wanted := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !wanted || len(m.Data) < extendedErrorLen {
			continue
		}
		origin, kind, code, info := m.Data[4], m.Data[5], m.Data[6], binary.NativeEndian.Uint32(m.Data[8:])
		switch origin {
		case unix.SO_EE_ORIGIN_LOCAL: // of this computer's kernel, which knows the path
			if errno := syscall.Errno(binary.NativeEndian.Uint32(m.Data)); errno != syscall.EMSGSIZE {
				return sandbox.Trouble{}, false
			}
			return tooBig(info, headerOf(m.Header.Level))
		case unix.SO_EE_ORIGIN_ICMP:
			return trouble4(kind, code, info)
		case unix.SO_EE_ORIGIN_ICMP6:
			return trouble6(kind, code, info)
		}
	}
	return sandbox.Trouble{}, false
}

// Lengths of the headers before UDP, in bytes.
const (
	ipv4Header = 20
	ipv6Header = 40
)

func headerOf(level int32) int {
	if level == unix.SOL_IPV6 {
		return ipv6Header
	}
	return ipv4Header
}

// trouble4 sorts the errors of RFC 792, RFC 1122, 3.2.2.1, and RFC 1812, 5.2.7.
func trouble4(kind, code byte, mtu uint32) (sandbox.Trouble, bool) {
	const unreachable, exceeded, parameter = 3, 11, 12
	switch {
	case kind == unreachable && code == 4:
		return tooBig(mtu, ipv4Header)
	case kind == unreachable:
		known, ok := unreachable4[code]
		return sandbox.Trouble{Kind: known}, ok
	case kind == exceeded && code == 0:
		return sandbox.Trouble{Kind: sandbox.HopLimitExceeded}, true
	case kind == exceeded && code == 1:
		return sandbox.Trouble{Kind: sandbox.ReassemblyTimeout}, true
	case kind == parameter:
		return sandbox.Trouble{Kind: sandbox.BadHeader}, true
	}
	return sandbox.Trouble{}, false
}

// unreachable4 is by code.
var unreachable4 = map[byte]sandbox.TroubleKind{
	0: sandbox.NetUnreachable, 1: sandbox.HostUnreachable, 2: sandbox.ProtocolUnreachable, 3: sandbox.PortUnreachable,
	5: sandbox.NetUnreachable, 6: sandbox.NetUnreachable, 7: sandbox.HostUnreachable, 8: sandbox.HostUnreachable,
	9: sandbox.Prohibited, 10: sandbox.Prohibited, 11: sandbox.NetUnreachable, 12: sandbox.HostUnreachable,
	13: sandbox.Prohibited, 14: sandbox.Prohibited, 15: sandbox.Prohibited,
}

// trouble6 sorts the errors of RFC 4443.
func trouble6(kind, code byte, mtu uint32) (sandbox.Trouble, bool) {
	const unreachable, big, exceeded, parameter = 1, 2, 3, 4
	switch {
	case kind == unreachable:
		known, ok := unreachable6[code]
		return sandbox.Trouble{Kind: known}, ok
	case kind == big:
		return tooBig(mtu, ipv6Header)
	case kind == exceeded && code == 0:
		return sandbox.Trouble{Kind: sandbox.HopLimitExceeded}, true
	case kind == exceeded && code == 1:
		return sandbox.Trouble{Kind: sandbox.ReassemblyTimeout}, true
	case kind == parameter && code == 1:
		return sandbox.Trouble{Kind: sandbox.ProtocolUnreachable}, true
	case kind == parameter:
		return sandbox.Trouble{Kind: sandbox.BadHeader}, true
	}
	return sandbox.Trouble{}, false
}

var unreachable6 = map[byte]sandbox.TroubleKind{
	0: sandbox.NetUnreachable, 1: sandbox.Prohibited, 2: sandbox.NetUnreachable, 3: sandbox.HostUnreachable,
	4: sandbox.PortUnreachable, 5: sandbox.Prohibited, 6: sandbox.Prohibited,
}

// tooBig is nothing for an MTU that no link has.
func tooBig(mtu uint32, header int) (sandbox.Trouble, bool) {
	const least, most = 68, 65535 // RFC 791; the largest packet
	if mtu < least || mtu > most {
		return sandbox.Trouble{}, false
	}
	return sandbox.Trouble{Kind: sandbox.TooBig, Room: int(mtu) - header}, true
}

// localTrouble is what this computer itself said of a datagram: no ICMP came.
func localTrouble(err error) (sandbox.Trouble, bool) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return sandbox.Trouble{Kind: sandbox.PortUnreachable}, true
	case errors.Is(err, syscall.EHOSTUNREACH):
		return sandbox.Trouble{Kind: sandbox.HostUnreachable}, true
	case errors.Is(err, syscall.ENETUNREACH):
		return sandbox.Trouble{Kind: sandbox.NetUnreachable}, true
	}
	return sandbox.Trouble{}, false
}

// passes says whether err is one that the kernel makes of ICMP, though the other
// relay may have taken what was said (icmp_err_convert, icmpv6_err_convert).
func passes(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(ofICMP, errno)
}

var ofICMP = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENOPROTOOPT, syscall.EMSGSIZE,
	syscall.EOPNOTSUPP, syscall.EHOSTDOWN, syscall.ENONET, syscall.EPROTO, syscall.EACCES,
}
