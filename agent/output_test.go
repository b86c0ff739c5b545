package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// logged returns what the log of dir says each stream wrote.
func logged(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	for dec.More() {
		var line api.LogLine
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		got[line.Stream] += string(line.Data)
	}
	return got
}

func openTestOutput(t *testing.T, dir string) *output {
	t.Helper()
	o, err := openOutput(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestLogKeepsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	o := openTestOutput(t, dir)
	for stream, text := range map[string]string{streamOut: "to out\n", streamErr: "to err\n"} {
		w, err := o.pipe(stream)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	o.close()
	var raw bytes.Buffer
	if err := copyLog(t.Context(), dir, nil, &raw); err != nil {
		t.Fatal(err)
	}
	got := logged(t, raw.Bytes())
	if got[streamOut] != "to out\n" || got[streamErr] != "to err\n" {
		t.Fatalf("got %q", got)
	}
}

func TestFollowerMissesNothingOverARotation(t *testing.T) {
	dir := t.TempDir()
	o := openTestOutput(t, dir)
	o.size = maxLogFile - 100 // the next lines rotate
	var raw bytes.Buffer
	var follower sync.WaitGroup
	follower.Go(func() {
		if err := copyLog(t.Context(), dir, o, &raw); err != nil {
			t.Error(err)
		}
	})
	w, err := o.pipe(streamOut)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for range 50 {
		line := strings.Repeat("x", 40) + "\n"
		want.WriteString(line)
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	w.Close()
	o.close()
	follower.Wait()
	if got := logged(t, raw.Bytes())[streamOut]; got != want.String() {
		t.Fatalf("follower saw %d bytes, %d were written", len(got), want.Len())
	}
}

func TestFollowerLeaves(t *testing.T) {
	o := openTestOutput(t, t.TempDir())
	defer o.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var raw bytes.Buffer
	if err := copyLog(ctx, t.TempDir(), o, &raw); err != nil {
		t.Fatalf("no log yet: %v", err)
	}
	dir := t.TempDir()
	live := openTestOutput(t, dir)
	defer live.close()
	if err := copyLog(ctx, dir, live, &raw); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}
