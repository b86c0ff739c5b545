package lease

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// leaser is a Broker with leases.
type leaser struct {
	sandbox.Broker
	ended chan []uint64

	mu     sync.Mutex
	uses   map[uint64]int64
	called int
}

func (l *leaser) Ended(ctx context.Context) ([]uint64, error) {
	select {
	case ids, there := <-l.ended:
		if !there {
			return nil, sandbox.ErrUnavailable
		}
		return ids, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *leaser) Reused(_ context.Context, uses map[uint64]int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.called++
	for id, n := range uses {
		l.uses[id] += n
	}
	return nil
}

// plain is a Broker without leases.
type plain struct{}

func (plain) Dial(context.Context, sandbox.Flow) (net.Conn, error) { return nil, sandbox.ErrDenied }

func (plain) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}

func (plain) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func newLeaser() *leaser {
	return &leaser{Broker: plain{}, ended: make(chan []uint64, 4), uses: map[uint64]int64{}}
}

func TestNothingIsKeptWithoutALease(t *testing.T) {
	for broker, reply := range map[sandbox.Broker]sandbox.DataReply{plain{}: {Lease: 1}, newLeaser(): {}} {
		b := New(broker)
		if b.Hold(reply, nil) != nil {
			t.Errorf("%T, lease %d: it is kept", broker, reply.Lease)
		}
		b.Close()
	}
}

func TestALeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaser()
		b := New(l)
		dropped := 0
		one := b.Hold(sandbox.DataReply{Lease: 1}, func() { dropped++ })
		two := b.Hold(sandbox.DataReply{Lease: 2}, nil)
		for _, h := range []*Held{one, one, two, two} {
			if !h.Use() {
				t.Fatal("an answer under its lease is not used")
			}
		}
		l.ended <- []uint64{1, 3}
		synctest.Wait()
		if one.Use() || !two.Use() || dropped != 1 {
			t.Errorf("after the end of one; dropped %d times", dropped)
		}
		if b.Hold(sandbox.DataReply{Lease: 3}, nil) != nil {
			t.Error("a lease that had ended before its answer was here is kept")
		}
		time.Sleep(2 * reportEvery)
		l.mu.Lock()
		if l.uses[1] != 2 || l.uses[2] != 3 {
			t.Errorf("uses: %v", l.uses)
		}
		calls := l.called
		l.mu.Unlock()
		time.Sleep(10 * reportEvery)
		l.mu.Lock()
		if l.called != calls {
			t.Error("nothing is reported again and again")
		}
		l.mu.Unlock()
		if b.mu.Lock(); len(b.held) != 1 {
			t.Errorf("%d are held", len(b.held))
		}
		b.mu.Unlock()
		two.Release()
		if two.Use() {
			t.Error("what was released is used")
		}
		b.Close()
	})
}

func TestALostAgentEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaser()
		b := New(l)
		h := b.Hold(sandbox.DataReply{Lease: 1}, nil)
		close(l.ended)
		synctest.Wait()
		if h.Use() || b.Hold(sandbox.DataReply{Lease: 2}, nil) != nil {
			t.Error("an answer outlives the agent")
		}
		b.Close()
	})
}
