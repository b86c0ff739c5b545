//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// TestTraceShowsWhatAnAppTouches: allowed calls while somebody looks, of that
// app alone.
func TestTraceShowsWhatAnAppTouches(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("echo up; while :; do nc -w 1 127.0.0.1 9; cat /etc/noexec; sleep 0.1; done")...))
	other, _ := launch(b, b.spec(sh("echo up; while :; do nc -w 1 127.0.0.1 7; sleep 0.1; done")...))
	posture, err := app.Posture(t.Context())
	must(t, err)
	want := map[string]bool{"socket inet stream": true, "connect 127.0.0.1:9": true}
	noted := lsmStands(posture)
	if noted {
		want["open noexec (read)"] = true
	}
	// Two watchers of one app, and one of the other.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	done := errors.New("seen all")
	others := make(chan error, 1)
	go func() {
		others <- other.(sandbox.Tracer).Trace(ctx, func(e sandbox.TraceEvent) error {
			if e.Detail == "127.0.0.1:9" {
				t.Errorf("of another app: %+v", e)
			}
			if e.Detail == "127.0.0.1:7" {
				return done
			}
			return nil
		})
	}()
	err = app.(sandbox.Tracer).Trace(ctx, func(e sandbox.TraceEvent) error {
		noted = noted || e.Note != ""
		if e.Call != "" && (time.Since(e.Time).Abs() > time.Minute || e.PID == 0) {
			t.Errorf("event %+v", e)
		}
		if delete(want, e.Call+" "+e.Detail); len(want) == 0 && noted {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("ended with %v, not seen: %v", err, want)
	}
	if err := <-others; !errors.Is(err, done) {
		t.Errorf("of the other app nothing was seen: %v", err)
	}
}
