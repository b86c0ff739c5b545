package bridge

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

const testHandle = sandbox.HandlePrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// keeper has one secret, for one origin.
type keeper struct {
	dialer
	origin string
	asked  []sandbox.SecretFor
}

func (k *keeper) Reveal(_ context.Context, s sandbox.SecretFor) (string, error) {
	k.asked = append(k.asked, s)
	if s.Handle != testHandle || s.Origin != k.origin {
		return "", sandbox.ErrDenied
	}
	return "s3cr3t", nil
}

// A handle in a header becomes the secret at its place, and nowhere else; what
// a redirect takes along is the handle at most.
func TestASecretIsPutInAtItsPlaceOnly(t *testing.T) {
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header.Clone()) }))
	defer other.Close()
	var got []string
	place := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://other.test:"+portOf(t, other)+"/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer place.Close()
	roots := x509.NewCertPool()
	roots.AddCert(place.Certificate())
	at := "https://example.com:" + portOf(t, place)
	k := &keeper{dialer: dialer{allowed: map[string]bool{"example.com": true, "other.test": true}}, origin: at}
	client := newHTTPClient(k, roots)
	fetch := func(url string) error {
		resp, err := client.fetch(t.Context(), &httpRequest{URL: url, Headers: map[string]string{"Authorization": "Bearer " + testHandle}})
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, path := range []string{"/", "/here", "/away"} {
		if err := fetch(at + path); err != nil {
			t.Fatal(path, err)
		}
	}
	if len(got) != 4 || strings.Join(got, ",") != strings.Repeat("Bearer s3cr3t,", 3)+"Bearer s3cr3t" {
		t.Errorf("the place got %q", got)
	}
	if len(elsewhere) != 1 || strings.Contains(strings.Join(elsewhere[0]["Authorization"], ""), "s3cr3t") {
		t.Errorf("another place got %v", elsewhere)
	}
	if err := fetch("http://other.test:" + portOf(t, other) + "/"); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("asked for elsewhere: %v", err)
	}
	if len(elsewhere) != 1 {
		t.Error("the request went out all the same")
	}
}

// given is a Broker that gives what may be kept.
type given struct {
	dialer
	grant string
	asked int
	ended chan []uint64
}

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
