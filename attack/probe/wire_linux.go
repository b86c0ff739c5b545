package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/sandbox"
)

func socketError(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// everyFrame is ETH_P_ALL in network order.
const everyFrame = 0x0300

// frames: whoever cannot write frames can only send what the kernel writes.
func (p *probe) frames() {
	p.try("packet socket", socketError(unix.AF_PACKET, unix.SOCK_RAW, everyFrame))
	p.try("packet socket of datagrams", socketError(unix.AF_PACKET, unix.SOCK_DGRAM, everyFrame))
	p.try("raw ip", socketError(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW))
	p.try("raw icmp6", socketError(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6))
	p.open("another card", "/dev/net/tun", unix.O_RDWR)
	p.try("promiscuous card", setFlags(unix.IFF_UP|unix.IFF_PROMISC))
	to := netip.AddrPortFrom(p.addr("addr4"), 9999)
	p.exchange("fragments", to, make([]byte, 65507))
	p.exchange("a datagram of 0 bytes", to, nil)
	p.tell("an option in each packet", withOption(to))
	p.tell("a routing header in each packet", withRoutingHeader(netip.AddrPortFrom(p.addr("addr6"), 9999)))
	p.tell("no checksum", withoutChecksum(to))
	p.tell("a SYN with data", earlyData(to))
	p.tell("udp-lite", byProtocol(unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, to))
	p.tell("multipath tcp", byProtocol(unix.SOCK_STREAM, unix.IPPROTO_MPTCP, to))
	p.tell("sctp", byProtocol(unix.SOCK_STREAM, unix.IPPROTO_SCTP, to))
	p.try("ping socket", socketError(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP))
}

// withRoutingHeader sends a datagram behind a segment routing header (RFC 8754),
// the one extension header that needs no right.
func withRoutingHeader(to netip.AddrPort) string {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	route := append([]byte{0, 2, 4, 0, 0, 0, 0, 0}, to.Addr().AsSlice()...)
	if err := unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_RTHDR, string(route)); err != nil {
		return nameOf(err)
	}
	return exchangeOver(fd, to)
}

func withoutChecksum(to netip.AddrPort) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
		return nameOf(err)
	}
	return exchangeOver(fd, to)
}

// byProtocol talks over one that is not the usual of its kind.
func byProtocol(kind, protocol int, to netip.AddrPort) string {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nameOf(err)
	}
	defer unix.Close(fd)
	return exchangeOver(fd, to)
}

// exchangeOver connects fd, sends and waits for an answer.
func exchangeOver(fd int, to netip.AddrPort) string {
	_, sa := sockaddr(to)
	must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}))
	if err := unix.Connect(fd, sa); err != nil {
		return nameOf(err)
	}
	if _, err := unix.Write(fd, []byte("secret")); err != nil {
		return nameOf(err)
	}
	switch _, err := unix.Read(fd, make([]byte, 1500)); err {
	case nil:
		return attack.Answered
	case unix.EAGAIN:
		return attack.Silence
	default:
		return nameOf(err)
	}
}

// earlyData sends data in the SYN, as far as the kernel does that without a cookie.
func earlyData(to netip.AddrPort) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	_, sa := sockaddr(to)
	return nameOf(unix.Sendto(fd, []byte("secret"), unix.MSG_FASTOPEN, sa))
}

func setFlags(flags uint16) error {
	request, err := unix.NewIfreq(sandbox.LinkDevice)
	must(err)
	request.SetUint16(flags)
	return ioctl(unix.SIOCSIFFLAGS, unsafe.Pointer(request))
}

func ioctl(number uint, argument unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(number), uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// withOption connects with a loose source route in each packet.
func withOption(to netip.AddrPort) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	route := append([]byte{131, 7, 4}, 10, 0, 2, 2, 0)
	if err := unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, string(route)); err != nil {
		return nameOf(err)
	}
	_, sa := sockaddr(to)
	return nameOf(unix.Connect(fd, sa))
}

// spoofing is being somebody else on the wire.
func (p *probe) spoofing() {
	request, err := unix.NewIfreq(sandbox.LinkDevice)
	must(err)
	p.try("hardware address", ioctl(unix.SIOCSIFHWADDR, unsafe.Pointer(request)))
	must(request.SetInet4Addr([]byte{10, 0, 2, 2}))
	p.try("second address", ioctl(unix.SIOCSIFADDR, unsafe.Pointer(request)))
	request.SetUint32(68)
	p.try("mtu", ioctl(unix.SIOCSIFMTU, unsafe.Pointer(request)))
	var arp [68]byte // struct arpreq: address, hardware address, flags, …
	binary.NativeEndian.PutUint16(arp[:], unix.AF_INET)
	copy(arp[4:], []byte{10, 0, 2, 2})
	binary.NativeEndian.PutUint32(arp[32:], 4) // ATF_PERM
	p.try("static neighbour", ioctl(unix.SIOCSARP, unsafe.Pointer(&arp)))
	p.try("neighbour by netlink", netlink(unix.RTM_NEWNEIGH, 12))
	p.try("route by netlink", netlink(unix.RTM_NEWROUTE, 12))
	p.try("advertisement", socketError(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6))
	p.try("bind to another address", bindTo(at("10.0.2.99", 0)))
	p.tell("another source", foreignSource(at("10.0.2.99", 0), netip.AddrPortFrom(p.addr("addr4"), 9999), unix.IPPROTO_IP, unix.IP_FREEBIND))
	p.tell("another source6", foreignSource(at("fd00:c0de::99", 0), netip.AddrPortFrom(p.addr("addr6"), 9999), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND))
	p.try("transparent", transparent())
	p.tell("asks for a lease", broadcast(at("255.255.255.255", 67), 68))
	p.tell("offers a lease", broadcast(at("255.255.255.255", 68), 67))
}

// netlink sends a request to change something, and returns the kernel's answer.
func netlink(kind uint16, size int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	message := make([]byte, unix.NLMSG_HDRLEN+size)
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	message[unix.NLMSG_HDRLEN] = unix.AF_INET
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		return err
	}
	if code := int32(binary.NativeEndian.Uint32(reply[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

func bindTo(addr netip.AddrPort) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err == nil {
		conn.Close()
	}
	return err
}

// foreignSource sends a datagram from an address that is not the app's, which
// IP_FREEBIND lets anybody bind to.
func foreignSource(from, to netip.AddrPort, level, option int) string {
	family, sa := sockaddr(from)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}))
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return nameOf(err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nameOf(err)
	}
	_, sa = sockaddr(to)
	if err := unix.Sendto(fd, []byte("secret"), 0, sa); err != nil {
		return nameOf(err)
	}
	if _, _, err := unix.Recvfrom(fd, make([]byte, 1500), 0); err != nil && err != unix.EAGAIN {
		return nameOf(err)
	} else if err == nil {
		return attack.Answered
	}
	return attack.Silence
}

func transparent() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
}
