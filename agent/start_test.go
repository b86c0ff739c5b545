//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// TestStartIsFollowed: who attaches to a start is told how it ended.
func TestStartIsFollowed(t *testing.T) {
	w := newTestAgent(t)
	w.runs(w.run(api.RunRequest{Source: w.module("tool.wasm", "1"), Name: "tool"}))
	stream, err := w.client.Start(t.Context(), "tool", true)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	w.runs(&follower{t, stream})
}

// gatedHost makes its sandbox before what must come first is written.
type gatedHost struct {
	*fakeHost
	before func(sandbox.Spec)
}

func (h *gatedHost) StartWhen(ctx context.Context, spec sandbox.Spec, b sandbox.Broker, ready func() error) (sandbox.Instance, error) {
	h.before(spec)
	if err := ready(); err != nil {
		fdwire.CloseAll(spec.Process.Stdio[:])
		return nil, err
	}
	return h.Start(ctx, spec, b)
}

// An app runs when its start stands in the ledger and its record is kept, also
// where the sandbox is made meanwhile.
func TestAnAppRunsWhenItsStartIsWritten(t *testing.T) {
	w := newTestAgent(t)
	host := &gatedHost{fakeHost: w.host, before: func(sandbox.Spec) {}}
	w.cfg.Module = host
	w.host.run = func(spec sandbox.Spec, _ sandbox.Broker) int {
		if _, err := loadRecord(w.runDir(spec.ID)); err != nil {
			t.Errorf("it runs without a record: %v", err)
		}
		lines, err := w.engine.Log(t.Context(), consent.Query{Run: spec.ID})
		if err != nil || len(lines) == 0 || lines[0].Event != "start" {
			t.Errorf("it runs without a start: %+v, %v", lines, err)
		}
		return 0
	}
	w.runs(w.run(api.RunRequest{Source: w.module("tool.wasm", "1"), NoInput: true}))
	w.runs(w.run(api.RunRequest{Source: w.module("tool.wasm", "1"), NoInput: true, Name: "kept"}))
}

// A start that cannot be written is none, however far the host has come.
func TestAStartThatIsNotWritten(t *testing.T) {
	for range 20 { // the ledger may have been quicker than we are
		w := newTestAgent(t)
		ran := false
		w.host.run = func(sandbox.Spec, sandbox.Broker) int { ran = true; return 0 }
		w.cfg.Module = &gatedHost{fakeHost: w.host, before: func(sandbox.Spec) { w.engine.Close() }}
		s := w.run(api.RunRequest{Source: w.module("tool.wasm", "1"), NoInput: true, Name: "late"})
		if kind, _ := s.next(api.FrameStarted, api.FrameError); kind == api.FrameStarted {
			continue
		}
		if ran {
			t.Error("it ran")
		}
		return
	}
	t.Error("every start was written before the ledger was closed")
}

// A run that was cut off with its agent has an end in the ledger all the same.
func TestTheEndOfARunThatWasCutOff(t *testing.T) {
	home := t.TempDir()
	for id, rec := range map[string]record{
		"aaaaaaaaaaaa": {Run: api.Run{Name: "kept", State: api.Running}},
		"bbbbbbbbbbbb": {Run: api.Run{Name: "brief", State: api.Created}, Request: api.RunRequest{Remove: true}},
		"cccccccccccc": {Run: api.Run{Name: "over", State: api.Exited}},
	} {
		rec.ID = id
		raw, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(home, "runs", id)
		if err := errors.Join(os.MkdirAll(dir, 0o700), writeRecord(dir, raw)); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, home)
	lines, err := s.engine.Log(t.Context(), consent.Query{})
	ends := map[string]string{}
	for _, l := range lines {
		if l.Event == "stop" {
			ends[l.Run] = l.Reason
		}
	}
	if err != nil || len(ends) != 2 || ends["aaaaaaaaaaaa"] == "" || ends["bbbbbbbbbbbb"] == "" {
		t.Errorf("ends: %v, %v", ends, err)
	}
	if _, err := os.Stat(s.runDir("bbbbbbbbbbbb")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the brief run is still here: %v", err)
	}
}
