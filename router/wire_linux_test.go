package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

func TestDNSOverUDPAndTCP(t *testing.T) {
	l := newLab(t, labOptions{})
	for _, network := range []string{"udp", "tcp"} {
		for _, server := range []string{"10.0.2.2:53", "[fd00:c0de::2]:53", "8.8.8.8:53", "[2001:4860:4860::8888]:53"} {
			resolver := l.resolver(network, server)
			addrs, err := resolver.LookupNetIP(t.Context(), "ip", "WWW.Example.com")
			if err != nil || len(addrs) != 2 {
				t.Fatalf("%s by %s: %v %v", network, server, addrs, err)
			}
			for _, addr := range addrs {
				if !isSynthetic(addr.Unmap()) {
					t.Errorf("%s by %s: %v is not synthetic", network, server, addr)
				}
				names, err := resolver.LookupAddr(t.Context(), addr.String())
				if err != nil || len(names) != 1 || names[0] != "www.example.com." {
					t.Errorf("%s by %s: %v is %v, %v", network, server, addr, names, err)
				}
			}
		}
	}
	if got := l.router.Stats().Names; got != 1 {
		t.Errorf("%d names, want 1", got)
	}
	if asked := l.broker.flows(); len(asked) != 0 {
		t.Errorf("resolving asked for %v", asked)
	}
}

// udpEcho answers each datagram with itself.
func udpEcho(t *testing.T) string {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:n], from)
		}
	}()
	return server.LocalAddr().String()
}

func TestUDPEcho(t *testing.T) {
	server := udpEcho(t)
	l := newLab(t, labOptions{mtu: 1500}) // large datagrams come in fragments
	both(t, func(t *testing.T, family string) {
		l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
			time.Sleep(200 * time.Millisecond)
			return to(server)(ctx, f)
		})
		target := netip.AddrPortFrom(l.resolve(family, "echo.example"), 7)
		conn, err := l.dial("udp", target.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		sizes := []int{1, 0, 512, 1472, 9000, 60000}
		for _, size := range sizes { // all of them while the flow is held
			if _, err := conn.Write(bytes.Repeat([]byte{byte(size)}, size)); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 65536)
		for _, size := range sizes {
			n, err := conn.Read(buf)
			if err != nil || n != size {
				t.Fatalf("%d bytes came back as %d, %v", size, n, err)
			}
		}
		if asked := l.broker.flows(); len(asked) != 1 || asked[0] != (sandbox.Flow{Network: "udp", Host: "echo.example", Port: 7}) {
			t.Errorf("asked %v", asked)
		}
	})
}

func TestUDPRefusals(t *testing.T) {
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		for _, c := range []struct {
			name string
			port uint16
			err  error
			want error
		}{
			{"denied", 7, sandbox.ErrDenied, unix.ECONNREFUSED},
			{"held", 7, sandbox.ErrHeld, unix.EHOSTUNREACH},
			{"quic", 443, sandbox.ErrDenied, unix.ECONNREFUSED},
		} {
			l.broker.set(refusing(c.err))
			conn, err := l.dial("udp", netip.AddrPortFrom(literal(family), c.port).String())
			if err != nil {
				t.Fatal(err)
			}
			reportPassingErrors(t, conn)
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			conn.Write([]byte("x"))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, c.want) {
				t.Errorf("%s: read gave %v, want %v", c.name, err, c.want)
			}
			conn.Close()
			if asked := l.broker.flows(); c.name == "quic" && (len(asked) != 1 || !asked[0].GrantedOnly) {
				t.Errorf("QUIC was asked for: %v", asked)
			}
		}
	})
}

// reportPassingErrors sets IP_RECVERR: Linux tells a UDP socket of host
// unreachable, which may pass, only when it asked for that.
func reportPassingErrors(t *testing.T, conn net.Conn) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1); err != nil {
			return
		}
		if conn.RemoteAddr().(*net.UDPAddr).IP.To4() == nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGatewayServesOnlyItsPorts(t *testing.T) {
	l := newLab(t, labOptions{data: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "data for %s", req.RemoteAddr[:strings.LastIndex(req.RemoteAddr, ":")])
	})})
	for gateway, want := range map[string]string{"10.0.2.2": "data for 10.0.2.15", "[fd00:c0de::2]": "data for [fd00:c0de::15]"} {
		out, err := l.command("curl", "-sS", "--max-time", "5", "http://"+gateway+":9999/")
		if err != nil || out != want {
			t.Errorf("data API: %q, %v", out, err)
		}
		for _, port := range []string{":1", ":22", ":80", ":443", ":8080"} {
			if _, err := l.dial("tcp", gateway+port); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s%s: %v", gateway, port, err)
			}
		}
	}
	if asked := l.broker.flows(); len(asked) != 0 {
		t.Errorf("the gateway's ports were asked for: %v", asked)
	}
	eventually(t, "the data connections end", func() bool { return l.router.Stats().Flows == 0 })
}

func TestDataAPIPortIsResetWithoutAHandler(t *testing.T) {
	l := newLab(t, labOptions{})
	if _, err := l.dial("tcp", "10.0.2.2:9999"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
}

func TestPingOfTheGatewayOnly(t *testing.T) {
	l := newLab(t, labOptions{})
	for addr, want := range map[string]bool{"10.0.2.2": true, "fd00:c0de::2": true, "1.1.1.1": false, "2606:4700::1111": false} {
		if want {
			eventually(t, "the gateway answers at "+addr, func() bool { return l.ping(addr) })
		} else if l.ping(addr) {
			t.Errorf("%s answered a ping that nobody allowed", addr)
		}
	}
}

// ping sends one echo request by an unprivileged ICMP socket.
func (l *lab) ping(addr string) (answered bool) {
	family, protocol, kind := unix.AF_INET, unix.IPPROTO_ICMP, byte(8)
	ip := netip.MustParseAddr(addr)
	if ip.Is6() {
		family, protocol, kind = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128
	}
	l.in(func() {
		fd, err := unix.Socket(family, unix.SOCK_RAW, protocol)
		if err != nil {
			l.t.Errorf("raw socket: %v", err)
			return
		}
		defer unix.Close(fd)
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 300_000})
		var to unix.Sockaddr = &unix.SockaddrInet6{Addr: ip.As16()}
		request := []byte{kind, 0, 0, 0, 0, 1, 0, 1}
		if ip.Is4() {
			to = &unix.SockaddrInet4{Addr: ip.As4()}
			request[2], request[3] = 0xf7, 0xfd // the kernel sums ICMPv6 only
		}
		if err := unix.Sendto(fd, request, 0, to); err != nil {
			l.t.Errorf("ping %s: %v", addr, err)
			return
		}
		buf := make([]byte, 1500)
		for {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return
			}
			reply := buf[:n]
			if ip.Is4() {
				reply = reply[20:]
			}
			if reply[0] == 0 || reply[0] == 129 {
				answered = true
				return
			}
		}
	})
	return answered
}

// TestHostileFramesHarmNobody sends bad frames through the card itself while a
// connection is open, and looks at what was counted and that the connection
// still works.
func TestHostileFramesHarmNobody(t *testing.T) {
	l := newLab(t, labOptions{})
	l.broker.set(to(echoServer(t)))
	conn, err := l.dial("tcp", netip.AddrPortFrom(literal("ip4"), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked := len(l.broker.flows())
	before := l.router.Stats().Drops

	spoofed := goodSYN(netip.MustParseAddr("10.0.2.77"), literal("ip4"))
	spoofed6 := goodSYN(netip.MustParseAddr("fd00:c0de::77"), literal("ip6"))
	otherMAC := goodSYN(appNet4.Addr(), literal("ip4"))
	otherMAC[11]++
	loopback := goodSYN(appNet4.Addr(), netip.MustParseAddr("127.0.0.1"))
	arp := newFrame(etherARP, arpLen)
	copy(arp[6:12], appMAC[:])
	odd := goodSYN(appNet4.Addr(), literal("ip4"))
	odd[12], odd[13] = 0x88, 0xcc
	headless := goodSYN(appNet4.Addr(), literal("ip4"))
	headless[ethernetLen] = 0x4f // header length beyond the packet
	const times = 20
	for name, frame := range map[string][]byte{
		reasonNames[dropSpoofed] + "4":  spoofed,
		reasonNames[dropSpoofed] + "6":  spoofed6,
		reasonNames[dropMAC] + " ":      otherMAC,
		reasonNames[dropDestination]:    loopback,
		reasonNames[dropNeighbour] + "": arp,
		reasonNames[dropEthertype]:      odd,
		reasonNames[dropHeader]:         headless,
	} {
		if err := l.inject(slices.Repeat([][]byte{frame}, times)...); err != nil {
			t.Fatalf("inject %s: %v", name, err)
		}
	}
	for why, want := range map[reason]uint64{
		dropSpoofed: 2 * times, dropMAC: times, dropDestination: times, dropEthertype: times, dropHeader: times,
	} {
		eventually(t, reasonNames[why]+" frames are counted", func() bool {
			return l.router.Stats().Drops[reasonNames[why]]-before[reasonNames[why]] >= want
		})
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, "still here")
	buf := make([]byte, 10)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "still here" {
		t.Errorf("the open connection: %q, %v", buf, err)
	}
	if now := len(l.broker.flows()); now != asked {
		t.Errorf("bad frames led to %d questions", now-asked)
	}
}

// inject sends frames out of the app's card.
func (l *lab) inject(frames ...[]byte) (err error) {
	l.in(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		card, _ := net.InterfaceByName(sandbox.LinkDevice)
		for _, frame := range frames {
			if err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: card.Index}); err != nil {
				return
			}
		}
	})
	return err
}

func TestUnknownSyntheticAddressIsNeverDialled(t *testing.T) {
	l := newLab(t, labOptions{})
	l.broker.set(to(echoServer(t)))
	for _, addr := range []string{"198.18.9.9", "198.19.255.255", "198.18.0.0", "fd00:c0de:0:53::99", "fd00:c0de:0:53:1::1"} {
		if _, err := l.dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String()); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if asked := l.broker.flows(); len(asked) != 0 {
		t.Errorf("asked %v", asked)
	}
}

func TestTypesWithoutRecords(t *testing.T) {
	l := newLab(t, labOptions{})
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeMX, dnsmessage.TypeSRV, dnsmessage.TypeNS, 64, 65} {
		if m := l.ask("10.0.2.2:53", "_secret.data.example.com.", kind); m.RCode != dnsmessage.RCodeSuccess || len(m.Answers) != 0 {
			t.Errorf("%v: %v", kind, m)
		}
	}
	if got := l.router.Stats().Names; got != 0 {
		t.Errorf("%d names were kept", got)
	}
}
