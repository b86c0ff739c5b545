//go:build unix

package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/review"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
)

func TestLearnDeniesAsksNothingAndPrintsAManifest(t *testing.T) {
	w := newTestAgent(t)
	var refused []error
	w.host.run = func(_ sandbox.Spec, b sandbox.Broker) int {
		for _, host := range []string{"b.example", "a.example", "b.example"} {
			_, err := b.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: host, Port: 443, Reason: "to look"})
			refused = append(refused, err)
		}
		return 0
	}
	// A manifest that is there already is not shown: nothing is asked.
	s := w.run(api.RunRequest{Source: w.module("tool.wasm", "1", connect("x.example", "r")), Learn: true})
	_, payload := s.next(api.FrameStarted, api.FrameReview, api.FrameError)
	s.next(api.FrameExit)
	for _, err := range refused {
		if !errors.Is(err, sandbox.ErrDenied) {
			t.Errorf("not denied: %v", err)
		}
	}
	if w.rules() != "" || len(w.engine.Pending()) != 0 {
		t.Errorf("rules %q, %d wait", w.rules(), len(w.engine.Pending()))
	}
	_, id, _ := strings.Cut(payload, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	l, err := w.client.Learned(t.Context(), id)
	if err != nil || len(l.Wishes) != 2 || l.Wishes[0].Count != 2 || l.App != "tool.wasm" {
		t.Fatalf("%+v, %v", l, err)
	}
	m, err := app.ParseManifest(l.Manifest)
	if err != nil {
		t.Fatalf("%s: %v", l.Manifest, err)
	}
	lines, err := review.Lines(m)
	if err != nil || len(lines) != 2 || lines[0].Target != "tcp/a.example:443" || lines[0].Reason != "to look" {
		t.Errorf("%+v, %v", lines, err)
	}
	var fault *api.Error
	if _, err := w.client.Learned(t.Context(), "none"); !errors.As(err, &fault) || fault.Code != "not-found" {
		t.Error(err)
	}
}
