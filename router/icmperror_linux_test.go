package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// framedEnd is the worker's end of an agent's UDP flow.
type framedEnd struct{ *net.UnixConn }

func (e framedEnd) Unframe(message []byte) ([]byte, error) { return wire.Unframe(message) }
func (e framedEnd) Write(b []byte) (int, error)            { return len(b), wire.SendDatagram(e.UnixConn, b) }

// agentEnd makes a flow to whose other end the test has.
func agentEnd(t *testing.T) (dial func(context.Context, sandbox.Flow) (net.Conn, error), agent net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	worker, agent := fileConn(t, fds[0]), fileConn(t, fds[1])
	agent.SetDeadline(time.Now().Add(20 * time.Second))
	return func(context.Context, sandbox.Flow) (net.Conn, error) { return framedEnd{worker.(*net.UnixConn)}, nil }, agent
}

// heard is one entry of a socket's error queue.
type heard struct {
	errno      unix.Errno
	kind, code byte
	info       uint32
}

// hear waits for what the kernel of the app made of an ICMP error.
func hear(t *testing.T, conn *net.UDPConn) (got heard) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the app's kernel hears of it", func() bool {
		oob, n := make([]byte, 256), 0
		raw.Control(func(fd uintptr) {
			_, n, _, _, err = unix.Recvmsg(int(fd), make([]byte, 1), oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		})
		return err == nil && n > 0 && readHeard(oob[:n], &got)
	})
	return got
}

func readHeard(oob []byte, got *heard) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return false
	}
	b := messages[len(messages)-1].Data
	*got = heard{unix.Errno(binary.NativeEndian.Uint32(b)), b[5], b[6], binary.NativeEndian.Uint32(b[8:])}
	return true
}

// TestTroubleReachesTheApp: what a network said of a datagram is what the app's
// kernel hears, in the words of its own family, and the flow goes on.
func TestTroubleReachesTheApp(t *testing.T) {
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		dial, agent := agentEnd(t)
		l.broker.set(dial)
		conn, err := l.dial("udp", netip.AddrPortFrom(literal(family), 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reportPassingErrors(t, conn)
		buf := make([]byte, 100)
		for kind, want := range map[sandbox.TroubleKind]map[string]heard{
			sandbox.PortUnreachable:     {"ip4": {unix.ECONNREFUSED, 3, 3, 0}, "ip6": {unix.ECONNREFUSED, 1, 4, 0}},
			sandbox.NetUnreachable:      {"ip4": {unix.ENETUNREACH, 3, 0, 0}, "ip6": {unix.ENETUNREACH, 1, 0, 0}},
			sandbox.HostUnreachable:     {"ip4": {unix.EHOSTUNREACH, 3, 1, 0}, "ip6": {unix.EHOSTUNREACH, 1, 3, 0}},
			sandbox.ProtocolUnreachable: {"ip4": {unix.ENOPROTOOPT, 3, 2, 0}, "ip6": {unix.EPROTO, 4, 1, 0}},
			sandbox.Prohibited:          {"ip4": {unix.EHOSTUNREACH, 3, 13, 0}, "ip6": {unix.EACCES, 1, 1, 0}},
			sandbox.TooBig:              {"ip4": {unix.EMSGSIZE, 3, 4, 1320}, "ip6": {unix.EMSGSIZE, 2, 0, 1340}},
			sandbox.HopLimitExceeded:    {"ip4": {unix.EHOSTUNREACH, 11, 0, 0}, "ip6": {unix.EHOSTUNREACH, 3, 0, 0}},
			sandbox.ReassemblyTimeout:   {"ip6": {unix.EHOSTUNREACH, 3, 1, 0}}, // Linux looks away from that of IPv4
			sandbox.BadHeader:           {"ip4": {unix.EPROTO, 12, 0, 0}, "ip6": {unix.EPROTO, 4, 0, 0}},
		} {
			if _, told := want[family]; !told {
				continue
			}
			conn.Write([]byte("x"))
			if n, err := agent.Read(buf); err != nil || string(buf[:n]) != "x\x00" {
				t.Fatalf("%v: the agent got %q, %v", sandbox.Trouble{Kind: kind}, buf[:n], err)
			}
			if err := wire.SendTrouble(agent, sandbox.Trouble{Kind: kind, Room: 1300}); err != nil {
				t.Fatal(err)
			}
			if got := hear(t, conn.(*net.UDPConn)); got != want[family] {
				t.Errorf("%v: the app hears %+v, want %+v", sandbox.Trouble{Kind: kind}, got, want[family])
			}
		}
	})
}

// TestPathMTU: an app that forbids fragments learns how much fits, one that does
// not goes on, and a lie about it does little harm.
func TestPathMTU(t *testing.T) {
	l := newLab(t, labOptions{})
	for _, c := range []struct {
		family          string
		level, discover int
		mtu, room       int // room is that of the trouble
		want            int // the path MTU at the app
	}{
		{"ip4", unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_MTU, 1300, 1320},
		{"ip6", unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_MTU, 1300, 1340},
		{"ip4", unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_MTU, 1, 576},
		{"ip6", unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_MTU, 1, 1280},
	} {
		dial, agent := agentEnd(t)
		l.broker.set(dial)
		target := literal(c.family)
		if c.room == 1 {
			target = target.Next() // the kernel keeps the MTU of the path
		}
		conn, err := l.dial("udp", netip.AddrPortFrom(target, 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		option := func(name, value int) (got int) {
			raw, _ := conn.(*net.UDPConn).SyscallConn()
			raw.Control(func(fd uintptr) {
				if value >= 0 {
					err = unix.SetsockoptInt(int(fd), c.level, name, value)
				} else {
					got, err = unix.GetsockoptInt(int(fd), c.level, name)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		large := make([]byte, 1400)
		conn.Write(large)
		if n, err := agent.Read(make([]byte, wire.MaxDatagram)); err != nil || n != len(large)+1 {
			t.Fatalf("%s: the agent got %d bytes, %v", c.family, n, err)
		}
		if err := wire.SendTrouble(agent, sandbox.Trouble{Kind: sandbox.TooBig, Room: c.room}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the app's kernel knows the path", func() bool { return option(c.mtu, -1) == c.want })
		option(c.discover, unix.IP_PMTUDISC_DO)
		if _, err = conn.Write(large); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%s: a datagram that may not be cut and does not fit: %v", c.family, err)
		}
		option(c.discover, unix.IP_PMTUDISC_WANT)
		if _, err = conn.Write(large); errors.Is(err, syscall.EMSGSIZE) { // what ICMP said of the first one
			_, err = conn.Write(large)
		}
		if err != nil {
			t.Errorf("%s: one that may be cut: %v", c.family, err)
		}
		if n, err := agent.Read(make([]byte, wire.MaxDatagram)); err != nil || n != len(large)+1 {
			t.Errorf("%s: the agent got %d bytes, %v, from the pieces", c.family, n, err)
		}
		if err := wire.SendDatagram(agent, []byte("fine")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "fine" {
			t.Errorf("%s: %q, %v came back", c.family, buf[:n], err)
		}
	}
}

// TestTroubleWithoutSense is none for the app.
func TestTroubleWithoutSense(t *testing.T) {
	quote := goodSYN(appNet4.Addr(), literal("ip4"))[ethernetLen:]
	for _, trouble := range []sandbox.Trouble{{}, {Kind: 200}, {Kind: sandbox.TooBig, Room: 65535}} {
		if frame := passOn(quote, trouble); frame != nil {
			t.Errorf("%v: %x is sent", trouble, frame)
		}
	}
}

// TestErrorsOfTheAppHarmNobody: whatever ICMP an app makes up about its open
// flows, in the name of the far end, its own or the gateway's, is dropped and
// counted, and the flows go on.
func TestErrorsOfTheAppHarmNobody(t *testing.T) {
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		l.broker.set(to(echoServer(t)))
		stream, err := l.dial("tcp", netip.AddrPortFrom(literal(family), 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		l.broker.set(to(udpEcho(t)))
		datagrams, err := l.dial("udp", netip.AddrPortFrom(literal(family), 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer datagrams.Close()
		speak := func(when string) {
			t.Helper()
			for _, conn := range []net.Conn{stream, datagrams} {
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				word := bytes.Repeat([]byte("word"), 300)
				conn.Write(word)
				if n, err := io.ReadAtLeast(conn, make([]byte, len(word)), len(word)); err != nil {
					t.Fatalf("%s: %d bytes came back over %s, %v", when, n, conn.LocalAddr().Network(), err)
				}
			}
		}
		speak("before")
		before, sent := l.router.Stats(), uint64(0)
		for _, conn := range []net.Conn{stream, datagrams} {
			frames := madeUpErrors(conn)
			if err := l.inject(frames...); err != nil {
				t.Fatal(err)
			}
			sent += uint64(len(frames))
		}
		why := []string{reasonNames[dropICMP], reasonNames[dropNeighbour], reasonNames[dropSpoofed], reasonNames[dropMulticast]}
		eventually(t, "all are dropped and counted", func() bool {
			now, dropped := l.router.Stats(), uint64(0)
			for _, reason := range why {
				dropped += now.Drops[reason] - before.Drops[reason]
			}
			return dropped >= sent
		})
		speak("after")
		if asked := l.broker.flows(); len(asked) != 1 {
			t.Errorf("the Broker was asked for %v", asked)
		}
		if now := l.router.Stats(); now.Flows != before.Flows {
			t.Errorf("%d flows, before %d", now.Flows, before.Flows)
		}
	})
}

// madeUpErrors are all types of ICMP that are no echo, each with the least and
// the largest number, that quote packets of a flow both ways, from the app and
// in the name of others.
func madeUpErrors(conn net.Conn) (frames [][]byte) {
	ours, far := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	sources := []netip.Addr{ours.Addr(), far.Addr(), gateway4}
	kinds := []byte{0, 3, 4, 5, 9, 10, 11, 12, 13, 17, 18, 255}
	if ours.Addr().Is6() {
		sources[2] = gateway6
		kinds = []byte{0, 1, 2, 3, 4, 129, 130, 131, 132, 133, 134, 136, 137, 143, 255}
	}
	for _, kind := range kinds {
		for _, src := range sources {
			for _, number := range []uint32{0, 1, 0xffffffff} {
				for _, quote := range [][]byte{quoteFor(conn, ours, far), quoteFor(conn, far, ours)} {
					frames = append(frames, madeUp(src, far.Addr(), kind, number, quote))
				}
			}
		}
	}
	return frames
}

func addrPort(a net.Addr) netip.AddrPort {
	return netip.MustParseAddrPort(a.String())
}

// quoteFor is a packet of conn, as short as an error may quote one.
func quoteFor(conn net.Conn, from, to netip.AddrPort) []byte {
	frame := newDatagram(from, to, nil)
	if conn.LocalAddr().Network() == "tcp" {
		if from.Addr().Is4() {
			frame[ethernetLen+9] = 6
		} else {
			frame[ethernetLen+6] = 6
		}
	}
	return frame[ethernetLen:]
}
