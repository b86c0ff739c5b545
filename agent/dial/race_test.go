package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestFamiliesAlternate(t *testing.T) {
	for _, c := range []struct{ in, want []netip.Addr }{
		{nil, []netip.Addr{}},
		{addrs("2a00::1", "2a00::2", "2a00::3", "9.9.9.1", "9.9.9.2"), addrs("2a00::1", "9.9.9.1", "2a00::2", "9.9.9.2", "2a00::3")},
		{addrs("9.9.9.1", "9.9.9.2", "2a00::1"), addrs("9.9.9.1", "2a00::1", "9.9.9.2")},
	} {
		if got := interleave(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.in, got, c.want)
		}
	}
}

// course is a network in which each address does what it is told.
type course struct {
	mu     sync.Mutex
	began  time.Time
	starts map[netip.Addr]time.Duration
	ends   int
	does   map[netip.Addr]func(context.Context) error // nil: connects at once
	closed map[netip.Addr]bool
}

type trackedConn struct {
	net.Conn
	close func()
}

func (c trackedConn) Close() error { c.close(); return nil }

func (c *course) dial(ctx context.Context, addr netip.Addr) (net.Conn, error) {
	c.mu.Lock()
	c.starts[addr] = time.Since(c.began)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.ends++; c.mu.Unlock() }()
	if does := c.does[addr]; does != nil {
		if err := does(ctx); err != nil {
			return nil, err
		}
	}
	return trackedConn{close: func() { c.mu.Lock(); c.closed[addr] = true; c.mu.Unlock() }}, nil
}

func after(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deaf connects after d, whatever ctx says: a connection that was made while
// another had won.
func deaf(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func TestRace(t *testing.T) {
	refused := errors.New("refused")
	a, b, c := netip.MustParseAddr("2a00::1"), netip.MustParseAddr("9.9.9.1"), netip.MustParseAddr("2a00::2")
	never := after(time.Hour, refused)
	for _, test := range []struct {
		name   string
		does   map[netip.Addr]func(context.Context) error
		took   time.Duration
		starts map[netip.Addr]time.Duration
		fails  bool
		closed []netip.Addr
	}{
		{"the first answers", nil, 0, map[netip.Addr]time.Duration{a: 0}, false, nil},
		{
			"the first is silent", map[netip.Addr]func(context.Context) error{a: never},
			attemptDelay, map[netip.Addr]time.Duration{a: 0, b: attemptDelay}, false, nil,
		},
		{
			"the first refuses", map[netip.Addr]func(context.Context) error{a: after(time.Millisecond, refused)},
			time.Millisecond, map[netip.Addr]time.Duration{a: 0, b: time.Millisecond}, false, nil,
		},
		{
			"a slow first one is not given up",
			map[netip.Addr]func(context.Context) error{a: after(attemptDelay+time.Millisecond, nil), b: never, c: never},
			attemptDelay + time.Millisecond, map[netip.Addr]time.Duration{a: 0, b: attemptDelay}, false, nil,
		},
		{
			"the loser is closed", map[netip.Addr]func(context.Context) error{a: deaf(time.Second)},
			time.Second, map[netip.Addr]time.Duration{a: 0, b: attemptDelay}, false, []netip.Addr{a},
		},
		{
			"all refuse", map[netip.Addr]func(context.Context) error{a: after(0, refused), b: after(0, refused), c: after(0, refused)},
			0, map[netip.Addr]time.Duration{a: 0, b: 0, c: 0}, true, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := &course{began: time.Now(), starts: map[netip.Addr]time.Duration{}, does: test.does, closed: map[netip.Addr]bool{}}
				conn, err := race(t.Context(), []netip.Addr{a, b, c}, net.dial)
				if (err != nil) != test.fails || (conn == nil) != test.fails {
					t.Fatalf("got %v, %v", conn, err)
				}
				if took := time.Since(net.began); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if len(net.starts) != len(test.starts) || net.ends != len(net.starts) {
					t.Errorf("attempts began at %v, %d ended", net.starts, net.ends)
				}
				for addr, at := range test.starts {
					if net.starts[addr] != at {
						t.Errorf("%s was dialled at %s, want %s", addr, net.starts[addr], at)
					}
				}
				if len(net.closed) != len(test.closed) {
					t.Errorf("closed %v, want %v", net.closed, test.closed)
				}
			})
		})
	}
}

func TestRaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		list := addrs("2a00::1", "9.9.9.1")
		never := after(time.Hour, nil)
		net := &course{
			began: time.Now(), starts: map[netip.Addr]time.Duration{},
			does: map[netip.Addr]func(context.Context) error{list[0]: never, list[1]: never},
		}
		if _, err := race(ctx, list, net.dial); !errors.Is(err, context.DeadlineExceeded) || net.ends != 2 {
			t.Errorf("got %v, %d attempts ended", err, net.ends)
		}
		if _, err := race(ctx, nil, net.dial); err == nil {
			t.Error("a race of nobody was won")
		}
	})
}
