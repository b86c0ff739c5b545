package router

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// TestUDPErrorsOfTheFarEnd: what ICMP says of a datagram reaches the app, and
// the association goes on.
func TestUDPErrorsOfTheFarEnd(t *testing.T) {
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		place, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := place.LocalAddr().String()
		place.Close()
		l.broker.set(to(at))
		asked := len(l.broker.flows())
		conn, err := l.dial("udp", netip.AddrPortFrom(literal(family), 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		conn.Write([]byte("is anybody there?"))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("a port that is closed: %v", err)
		}
		server, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		conn.Write([]byte("and now?"))
		buf := make([]byte, 100)
		if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "and now?" {
			t.Errorf("the server got %q, %v", buf[:n], err)
		}
		if now := len(l.broker.flows()); now != asked+1 {
			t.Errorf("the Broker was asked %d times, want once", now-asked)
		}
	})
}

// TestIdleAssociationsAreCheap: a flow of UDP that has spoken holds no buffers
// and no stacks.
func TestIdleAssociationsAreCheap(t *testing.T) {
	const n, most = 500, 8_000 // bytes an association
	l := newLab(t, labOptions{})
	l.broker.set(to(udpEcho(t)))
	open := func() []net.Conn {
		conns := make([]net.Conn, n)
		for i := range conns {
			var err error
			if conns[i], err = l.dial("udp", netip.AddrPortFrom(literal("ip4"), 7).String()); err != nil {
				t.Fatal(err)
			}
			conns[i].SetDeadline(time.Now().Add(20 * time.Second))
			conns[i].Write([]byte{1})
			if _, err := conns[i].Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4 * linger)
		return conns
	}
	before := held()
	conns := open()
	each := (held() - before) / n
	t.Logf("%d bytes for an idle association", each)
	if each > most {
		t.Errorf("an idle association holds %d bytes, want at most %d", each, most)
	}
	if flows := l.router.Stats().Flows; flows != n {
		t.Errorf("%d flows are open, want %d", flows, n)
	}
	for _, conn := range conns { // and they wake
		conn.Write([]byte{2})
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// TestUDPEndsWithTheFarEnd: a flow that the agent takes away tells the app.
func TestUDPEndsWithTheFarEnd(t *testing.T) {
	l := newLab(t, labOptions{})
	far := make(chan net.Conn, 1)
	l.broker.set(func(context.Context, sandbox.Flow) (net.Conn, error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		far <- fileConn(t, fds[0])
		return fileConn(t, fds[1]), nil
	})
	conn, err := l.dial("udp", netip.AddrPortFrom(literal("ip4"), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn.Write([]byte("hello"))
	agent := <-far
	time.Sleep(4 * linger) // it is parked
	agent.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the app sees %v", err)
	}
	eventually(t, "the flow ends", func() bool { return l.router.Stats().Flows == 0 })
}
