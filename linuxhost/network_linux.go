package linuxhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// makeNetwork builds the app's network card in the network namespace of pid
// and returns the tap's other side. The launcher does it, from a thread that
// visits the namespace: /dev/net/tun belongs to host root, and a tun belongs to
// the namespace it was opened in.
func makeNetwork(pid int) (tap *os.File, err error) {
	err = inNetworkOf(pid, func() error {
		if err := loopbackUp(); err != nil {
			return err
		}
		tap, err = openTap()
		if err != nil {
			return err
		}
		if err := configureLink(sandbox.LinkMTU); err != nil {
			return errors.Join(err, tap.Close())
		}
		return nil
	})
	return tap, err
}

// inNetworkOf runs f on a thread inside the network namespace of pid. The thread
// ends with it: the way back would need a right over the host's network, which
// a user's launcher has not.
func inNetworkOf(pid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- visitNetwork(pid, f)
	}()
	return <-done
}

func visitNetwork(pid int, f func() error) error {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return f()
}

func openTap() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	tap := os.NewFile(uintptr(fd), "tap")
	request := newIfreq(sandbox.LinkDevice)
	binary.NativeEndian.PutUint16(request.data(), unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_VNET_HDR)
	if err := request.ioctl(fd, unix.TUNSETIFF); err != nil {
		return nil, errors.Join(fmt.Errorf("tap: %w", err), tap.Close())
	}
	return tap, nil
}

func loopbackUp() error {
	if err := withControl(unix.AF_INET, func(s int) error { return linkUp(s, "lo") }); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// configureLink gives the card its addresses; mtu is in bytes.
func configureLink(mtu uint32) error {
	v4, err := netip.ParsePrefix(sandbox.AppPrefix4)
	if err != nil {
		return err
	}
	v6, err := netip.ParsePrefix(sandbox.AppPrefix6)
	if err != nil {
		return err
	}
	_, err = os.Stat("/proc/sys/net/ipv6")
	hasV6 := err == nil // where the kernel has none, neither has the app
	if err := setKnobs(hasV6); err != nil {
		return err
	}
	err = withControl(unix.AF_INET, func(s int) error { return configureV4(s, v4, mtu) })
	if err != nil || !hasV6 {
		return err
	}
	return withControl(unix.AF_INET6, func(s int) error { return configureV6(s, v6) })
}

// knobs of the namespace. An app may serve port 80 without a capability: the
// port is in its own namespace. Router discovery, link-local addresses and
// duplicate detection are off, as the router's side of the wire says.
var knobsV4 = map[string]string{"/proc/sys/net/ipv4/ip_unprivileged_port_start": "0"}

var knobsV6 = map[string]string{
	"accept_ra": "0", "accept_dad": "0", "dad_transmits": "0", "autoconf": "0",
	"router_solicitations": "0", "addr_gen_mode": "1",
}

// setKnobs comes before the link goes up: IPv6 reads them then.
func setKnobs(hasV6 bool) error {
	for knob, value := range knobsV4 {
		if err := writeFile(knob, value); err != nil {
			return err
		}
	}
	if !hasV6 {
		return nil
	}
	for knob, value := range knobsV6 {
		if err := writeFile("/proc/sys/net/ipv6/conf/"+sandbox.LinkDevice+"/"+knob, value); err != nil {
			return err
		}
	}
	return nil
}

func configureV4(s int, address netip.Prefix, size uint32) error {
	mac, err := net.ParseMAC(sandbox.AppMAC)
	if err != nil {
		return err
	}
	hardware := newIfreq(sandbox.LinkDevice)
	binary.NativeEndian.PutUint16(hardware.data(), unix.ARPHRD_ETHER)
	copy(hardware.data()[2:], mac)
	if err := hardware.ioctl(s, unix.SIOCSIFHWADDR); err != nil {
		return fmt.Errorf("hardware address: %w", err)
	}
	mtu := newIfreq(sandbox.LinkDevice)
	binary.NativeEndian.PutUint32(mtu.data(), size)
	if err := mtu.ioctl(s, unix.SIOCSIFMTU); err != nil {
		return fmt.Errorf("mtu: %w", err)
	}
	if err := setInet4(s, unix.SIOCSIFADDR, address.Addr()); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	mask := netip.AddrFrom4([4]byte(net.CIDRMask(address.Bits(), 32)))
	if err := setInet4(s, unix.SIOCSIFNETMASK, mask); err != nil {
		return fmt.Errorf("netmask of %s: %w", address, err)
	}
	if err := linkUp(s, sandbox.LinkDevice); err != nil {
		return err
	}
	return defaultRoute4(s)
}

func setInet4(s int, request uint, a netip.Addr) error {
	r := newIfreq(sandbox.LinkDevice)
	binary.NativeEndian.PutUint16(r.data(), unix.AF_INET)
	copy(r.data()[4:], a.AsSlice())
	return r.ioctl(s, request)
}

// rtentry is struct rtentry of linux/route.h.
type rtentry struct {
	_                 uintptr
	dst, gateway, net unix.RawSockaddrInet4
	flags             uint16
	_                 int16
	_                 uintptr
	_                 uintptr
	metric            int16
	device            *byte
	_, _              uintptr
	_                 uint16
}

const (
	routeUp      = 0x1 // RTF_UP
	routeGateway = 0x2 // RTF_GATEWAY
)

func defaultRoute4(s int) error {
	gateway, err := netip.ParseAddr(sandbox.Gateway4)
	if err != nil {
		return err
	}
	r := rtentry{flags: routeUp | routeGateway}
	r.dst.Family, r.gateway.Family, r.net.Family = unix.AF_INET, unix.AF_INET, unix.AF_INET
	r.gateway.Addr = gateway.As4()
	if err := ioctl(s, unix.SIOCADDRT, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// in6Ifreq and in6Rtmsg are the structs of linux/ipv6.h and linux/ipv6_route.h.
type in6Ifreq struct {
	address [16]byte
	prefix  uint32
	index   int32
}

type in6Rtmsg struct {
	dst, src, gateway [16]byte
	kind              uint32
	dstLen, srcLen    uint16
	metric            uint32
	info              uintptr
	flags             uint32
	index             int32
}

func configureV6(s int, address netip.Prefix) error {
	card, err := net.InterfaceByName(sandbox.LinkDevice)
	if err != nil {
		return err
	}
	index := int32(card.Index)                                                                  //nolint:gosec // a handful of interfaces
	a := in6Ifreq{address: address.Addr().As16(), prefix: uint32(address.Bits()), index: index} //nolint:gosec // at most 128
	if err := ioctl(s, unix.SIOCSIFADDR, unsafe.Pointer(&a)); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	gateway, err := netip.ParseAddr(sandbox.Gateway6)
	if err != nil {
		return err
	}
	r := in6Rtmsg{gateway: gateway.As16(), metric: 1024, flags: routeUp | routeGateway, index: index}
	if err := ioctl(s, unix.SIOCADDRT, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("default route for IPv6: %w", err)
	}
	return nil
}

// ifreq is struct ifreq: a name, then a union.
type ifreq [40]byte

func newIfreq(name string) *ifreq {
	var r ifreq
	copy(r[:unix.IFNAMSIZ-1], name)
	return &r
}

func (r *ifreq) data() []byte { return r[unix.IFNAMSIZ:] }

func (r *ifreq) ioctl(fd int, request uint) error { return ioctl(fd, request, unsafe.Pointer(r)) }

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return errno
	}
	return nil
}

func withControl(family int, f func(socket int) error) error {
	s, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return errors.Join(f(s), unix.Close(s))
}

func linkUp(s int, name string) error {
	r := newIfreq(name)
	if err := r.ioctl(s, unix.SIOCGIFFLAGS); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	flags := binary.NativeEndian.Uint16(r.data())
	binary.NativeEndian.PutUint16(r.data(), flags|unix.IFF_UP|unix.IFF_RUNNING)
	if err := r.ioctl(s, unix.SIOCSIFFLAGS); err != nil {
		return fmt.Errorf("%s up: %w", name, err)
	}
	return nil
}
