//go:build unix

package agent

import (
	"testing"

	"github.com/consentry/consentry/agent/api"
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
