package bridge

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// given is a Broker that gives what may be kept.
type given struct {
	grant string
	asked int
	ended chan []uint64
}

func (*given) Dial(context.Context, sandbox.Flow) (net.Conn, error) { return nil, sandbox.ErrDenied }

func (*given) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func (g *given) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	g.asked++
	return sandbox.DataReply{Grant: g.grant, Lease: uint64(g.asked), Values: map[string]any{"email": "ada@example.org"}}, nil
}

func (g *given) Ended(ctx context.Context) ([]uint64, error) {
	select {
	case ids := <-g.ended:
		return ids, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *given) Reused(context.Context, map[uint64]int64) error { return nil }

func TestRetainedAnswers(t *testing.T) {
	const retain, plain = `{"fields":["email"],"purpose":"x","retain":"run"}`, `{"fields":["email"],"purpose":"x"}`
	for _, c := range []struct {
		grant, question string
		asked           int
	}{{"rule", retain, 1}, {"rule", plain, 3}, {"", retain, 3}} {
		g := &given{grant: c.grant, ended: make(chan []uint64)}
		b := New(g)
		for range 3 {
			if text, errno := b.ask(t.Context(), []byte("identity"), []byte(c.question)); errno != 0 || !strings.Contains(string(text), "ada@") {
				t.Fatalf("%s, errno %d", text, errno)
			}
		}
		if g.asked != c.asked {
			t.Errorf("grant %q, %s: asked %d times, want %d", c.grant, c.question, g.asked, c.asked)
		}
		if c.asked == 1 {
			g.ended <- []uint64{1}
			g.ended <- nil // the one before has been dealt with
			if _, errno := b.ask(t.Context(), []byte("identity"), []byte(c.question)); errno != 0 || g.asked != 2 {
				t.Errorf("after the lease has ended: asked %d times", g.asked)
			}
		}
		b.Close()
	}
}

func BenchmarkRetained(b *testing.B) {
	g := &given{grant: "rule", ended: make(chan []uint64)}
	bridge := New(g)
	defer bridge.Close()
	kind, question := []byte("identity"), []byte(`{"fields":["email"],"purpose":"x","retain":"run"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, errno := bridge.ask(b.Context(), kind, question); errno != 0 {
			b.Fatal(errno)
		}
	}
	if g.asked != 1 {
		b.Fatalf("asked %d times", g.asked)
	}
}
