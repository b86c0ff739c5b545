package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// both runs a test over IPv4 and IPv6: the answers must be the same.
func both(t *testing.T, f func(t *testing.T, family string)) {
	for _, family := range []string{"ip4", "ip6"} {
		t.Run(family, func(t *testing.T) { f(t, family) })
	}
}

// literal is an address outside for the family.
func literal(family string) netip.Addr {
	if family == "ip4" {
		return netip.MustParseAddr("93.184.216.34")
	}
	return netip.MustParseAddr("2606:2800:220:1::1946")
}

// to returns a Dial that connects to a loopback server of the test.
func to(addr string) func(context.Context, sandbox.Flow) (net.Conn, error) {
	return func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, f.Network, addr)
	}
}

func TestHeldSYNCompletesAfterTheVerdict(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		hits.Add(1)
		fmt.Fprintf(w, "hello from %s", req.Host)
	}))
	defer server.Close()
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		hits.Store(0)
		const hold = 1500 * time.Millisecond
		l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
			time.Sleep(hold)
			if hits.Load() != 0 {
				t.Error("the server was reached before the verdict")
			}
			return to(server.Listener.Addr().String())(ctx, f)
		})
		start := time.Now()
		out, err := l.command("curl", "-sS", "--max-time", "10", "-"+strings.TrimPrefix(family, "ip"), "http://Example.COM/")
		took := time.Since(start)
		if err != nil || out != "hello from Example.COM" {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		if took < hold || took > hold+time.Second {
			t.Errorf("took %v with a hold of %v", took, hold)
		}
		want := []sandbox.Flow{{Network: "tcp", Host: "example.com", Port: 80}}
		if got := l.broker.flows(); !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v: a repeated SYN must not ask again", got, want)
		}
	})
}

func TestRefusalsAtTheApp(t *testing.T) {
	l := newLab(t, labOptions{})
	for _, c := range []struct {
		err  error
		want error
	}{
		{sandbox.ErrDenied, unix.ECONNREFUSED},
		{sandbox.ErrInvalid, unix.ECONNREFUSED},
		{sandbox.ErrHeld, unix.EHOSTUNREACH},
		{sandbox.ErrBusy, unix.EHOSTUNREACH},
		{sandbox.ErrUnreachable, unix.EHOSTUNREACH},
		{sandbox.ErrRefused, unix.ECONNREFUSED},
		{sandbox.ErrUnavailable, unix.EHOSTUNREACH},
	} {
		both(t, func(t *testing.T, family string) {
			l.broker.set(refusing(c.err))
			for _, host := range []netip.Addr{l.resolve(family, "refused.example"), literal(family)} {
				start := time.Now()
				conn, err := l.dial("tcp", netip.AddrPortFrom(host, 443).String())
				if err == nil {
					conn.Close()
				}
				if !errors.Is(err, c.want) {
					t.Errorf("%v: dial gave %v, want %v", c.err, err, c.want)
				}
				if took := time.Since(start); took > 3*time.Second { // a card that was lately set up may lose a packet
					t.Errorf("%v: the app waited %v", c.err, took)
				}
			}
		})
	}
}

// TestAFarEndThatDoesNotAnswerIsSilence: the app's own patience decides, as it
// would without a router.
func TestAFarEndThatDoesNotAnswerIsSilence(t *testing.T) {
	l := newLab(t, labOptions{})
	l.broker.set(refusing(sandbox.ErrTimeout))
	both(t, func(t *testing.T, family string) {
		asked := len(l.broker.flows())
		l.in(func() {
			dialer := net.Dialer{Timeout: 1500 * time.Millisecond}
			_, err := dialer.Dial("tcp", netip.AddrPortFrom(literal(family), 80).String())
			var timed net.Error
			if !errors.As(err, &timed) || !timed.Timeout() {
				t.Errorf("dial gave %v, want a timeout", err)
			}
		})
		if now := len(l.broker.flows()); now != asked+1 {
			t.Errorf("the Broker was asked %d times, want once", now-asked)
		}
		if s := l.router.Stats(); s.Held != 0 {
			t.Errorf("%d flows wait for the Broker", s.Held)
		}
	})
	eventually(t, "flows end", func() bool { return l.router.Stats().Flows == 0 })
}

func TestRetryAfterHeldIsAskedAgain(t *testing.T) {
	echo := echoServer(t)
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		target := netip.AddrPortFrom(l.resolve(family, "later.example"), 7).String()
		l.broker.set(refusing(sandbox.ErrHeld))
		if _, err := l.dial("tcp", target); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Fatalf("first try: %v", err)
		}
		l.broker.set(to(echo))
		conn, err := l.dial("tcp", target)
		if err != nil {
			t.Fatalf("second try: %v", err)
		}
		conn.Close()
	})
}

// echoServer answers each connection with what it got, and half-closes.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

func TestHalfCloseOutAndIn(t *testing.T) {
	// The server answers only after it has seen the end of the question.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAtEnd(conn)
		}
	}()
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		l.broker.set(to(ln.Addr().String()))
		conn, err := l.dial("tcp", netip.AddrPortFrom(literal(family), 9).String())
		if err != nil {
			t.Fatal(err)
		}
		wantAnswerAtEnd(t, conn)
	})
	t.Run("into the app", func(t *testing.T) {
		inside := l.listen("tcp4", ":8080")
		go func() {
			for {
				conn, err := inside.Accept()
				if err != nil {
					return
				}
				go answerAtEnd(conn)
			}
		}()
		conn, err := l.router.DialApp(t.Context(), 8080)
		if err != nil {
			t.Fatal(err)
		}
		wantAnswerAtEnd(t, conn)
	})
}

func answerAtEnd(conn net.Conn) {
	defer conn.Close()
	all, err := io.ReadAll(conn)
	fmt.Fprintf(conn, "%d bytes, %v", len(all), err)
}

func wantAnswerAtEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	closeWrite(conn)
	if got, err := io.ReadAll(conn); err != nil || string(got) != "100000 bytes, <nil>" {
		t.Errorf("answer %q, %v", got, err)
	}
}

func TestDialAppFamiliesAndRefusal(t *testing.T) {
	l := newLab(t, labOptions{})
	if _, err := l.router.DialApp(t.Context(), 8081); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port nobody listens on: %v", err)
	}
	l.listen("tcp6", "[fd00:c0de::15]:8082")
	conn, err := l.router.DialApp(t.Context(), 8082)
	if err != nil {
		t.Fatalf("a port of IPv6 alone: %v", err)
	}
	conn.Close()
	eventually(t, "flows end", func() bool { return l.router.Stats().Flows == 0 })
}

func TestServeInboundCarriesHTTP(t *testing.T) {
	l := newLab(t, labOptions{})
	inside := l.listen("tcp", ":8080")
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })}
	go server.Serve(inside)
	defer server.Close()

	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	go func() {
		for {
			conn, err := outside.Accept()
			if err != nil {
				return
			}
			go l.router.ServeInbound(t.Context(), conn, 8080)
		}
	}()
	reply, err := http.Get("http://" + outside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if page, _ := io.ReadAll(reply.Body); string(page) != "page" {
		t.Errorf("page %q", page)
	}
}

// TestRevocationResetsAtOnce disconnects the agent's copy of a socket, as the
// agent does, in the middle of a download.
func TestRevocationResetsAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go io.Copy(conn, endless{})
		}
	}()
	l := newLab(t, labOptions{})
	for _, reading := range []bool{true, false} {
		t.Run(fmt.Sprintf("app reads %v", reading), func(t *testing.T) {
			agent := make(chan int, 1)
			l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
				conn, err := to(ln.Addr().String())(ctx, f)
				if err == nil {
					agent <- dup(t, conn)
				}
				return conn, err
			})
			conn, err := l.dial("tcp", netip.AddrPortFrom(literal("ip4"), 80).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fd := <-agent
			defer unix.Close(fd)
			if reading {
				if _, err := io.CopyN(io.Discard, conn, 32<<20); err != nil {
					t.Fatal(err)
				}
			} else {
				time.Sleep(300 * time.Millisecond) // every buffer on the way is full
			}
			disconnect(t, fd)
			start := time.Now()
			waitReset(t, conn, reading)
			if took := time.Since(start); took > time.Second {
				t.Errorf("cut after %v", took)
			}
		})
	}
}

// waitReset returns when the app's socket was reset. An app that does not read
// is seen by its socket's error alone.
func waitReset(t *testing.T, conn net.Conn, reading bool) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if reading {
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("download ended with %v", err)
		}
		return
	}
	eventually(t, "the socket breaks", func() bool { return broken(conn) })
}

func dup(t *testing.T, conn net.Conn) int {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Error(err)
		return -1
	}
	fd := -1
	raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Error(err)
	}
	return fd
}

// disconnect is connect(AF_UNSPEC): a reset for TCP.
func disconnect(t *testing.T, fd int) {
	t.Helper()
	raw := unix.RawSockaddrAny{Addr: unix.RawSockaddr{Family: unix.AF_UNSPEC}}
	if err := connectRaw(fd, &raw); err != nil {
		t.Fatal(err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestAppGivesUpAHeldSYN(t *testing.T) {
	l := newLab(t, labOptions{})
	cancelled := make(chan struct{})
	l.broker.set(func(ctx context.Context, _ sandbox.Flow) (net.Conn, error) {
		<-ctx.Done()
		close(cancelled)
		return nil, ctx.Err()
	})
	l.in(func() {
		_, err := net.DialTimeout("tcp", netip.AddrPortFrom(literal("ip4"), 80).String(), 300*time.Millisecond)
		if err == nil {
			t.Error("a held connection was made")
		}
	})
	select {
	case <-cancelled:
	case <-time.After(2 * patienceBase):
		t.Fatal("the Broker still waits for an app that has gone")
	}
	eventually(t, "the flow ends", func() bool { s := l.router.Stats(); return s.Flows == 0 && s.Held == 0 })
}

func TestFloodOfSYNsIsBounded(t *testing.T) {
	const held, flood = 64, 2000
	l := newLab(t, labOptions{limits: Limits{Held: held}})
	l.broker.set(func(ctx context.Context, _ sandbox.Flow) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	l.in(func() {
		for i := range flood {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			// Open until the end: the card's queue holds 1,000 frames, what it
			// drops comes again after a second.
			t.Cleanup(func() { unix.Close(fd) })
			//nolint:errcheck // in progress, or refused
			unix.Connect(fd, &unix.SockaddrInet4{Port: 1000 + i, Addr: literal("ip4").As4()})
		}
	})
	eventually(t, "the flood is refused", func() bool {
		return l.router.Stats().Drops[reasonNames[refuseHeld]] >= flood-held
	})
	if got := len(l.broker.flows()); got != held {
		t.Errorf("the Broker was asked %d times, want %d", got, held)
	}
	if s := l.router.Stats(); s.Held != held {
		t.Errorf("%d held, want %d", s.Held, held)
	}
}
