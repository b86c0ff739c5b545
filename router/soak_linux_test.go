package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// TestSoak churns flows of every kind and sees that nothing grows: 20 seconds,
// or ten minutes with CONSENTRY_LONG=1.
func TestSoak(t *testing.T) {
	span := 20 * time.Second
	if os.Getenv("CONSENTRY_LONG") != "" {
		span = 10 * time.Minute
	}
	echo := echoServer(t)
	udp := udpEcho(t)
	l := newLab(t, labOptions{idle: time.Second})
	l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
		l.broker.forget()
		switch {
		case f.Port == deniedPort:
			return nil, sandbox.ErrDenied
		case f.Network == "udp":
			return to(udp)(ctx, f)
		}
		return to(echo)(ctx, f)
	})
	host := l.resolve("ip4", "soak.example")
	churn(t, l, host, 3*time.Second)
	first := settle(l)
	end := time.Now().Add(span)
	var rounds int
	for time.Now().Before(end) {
		churn(t, l, host, span/10)
		rounds++
		now := settle(l)
		t.Logf("after %d: %+v", rounds, now)
		if now.goroutines > first.goroutines+20 || now.files > first.files+20 || now.bytes > first.bytes+first.bytes/2+8<<20 {
			t.Fatalf("from %+v to %+v", first, now)
		}
	}
	s := l.router.Stats()
	if s.Flows != 0 || s.Held != 0 || s.BytesIn == 0 {
		t.Errorf("at the end: %+v", s)
	}
}

type usage struct{ goroutines, files, bytes int }

// settle waits for the flows to end, then measures.
func settle(l *lab) usage {
	for end := time.Now().Add(90 * time.Second); l.router.Stats().Flows > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	files, _ := os.ReadDir("/proc/self/fd")
	return usage{bytes: held(), goroutines: runtime.NumGoroutine(), files: len(files)}
}

// churn opens, uses, cuts and refuses flows for a while.
func churn(t *testing.T, l *lab, host netip.Addr, span time.Duration) {
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; time.Now().Before(end); i++ {
				if err := oneFlow(l, host, i); err != nil {
					t.Errorf("flow %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// deniedPort is what the soak's Broker says no to.
const deniedPort = 9

func oneFlow(l *lab, host netip.Addr, i int) error {
	// Many ports, so that no address of the app is used twice in a moment: gVisor
	// resets a SYN that is queued behind the reset of its own address.
	network, port := "tcp", uint16(1000+i%1000) //nolint:gosec // below 2000
	switch i % 8 {
	case 1:
		port = deniedPort
	case 2:
		network = "udp"
	case 3:
		_, err := l.resolver("udp", "10.0.2.2:53").LookupHost(context.Background(), fmt.Sprintf("h%d.example", i%500))
		return err
	}
	conn, err := l.dial(network, netip.AddrPortFrom(host, port).String())
	if port == deniedPort {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if i%8 == 4 {
		conn.(*net.TCPConn).SetLinger(0) // a reset in the middle
		conn.Write(make([]byte, 200_000))
		return nil
	}
	size := []int{10, 1000, 400_000}[i%3]
	if network == "udp" {
		size = 1000
	}
	go conn.Write(make([]byte, size))
	if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil && network == "tcp" {
		return err
	}
	return nil
}
