//go:build unix

package tray

import (
	"context"
	"log/slog"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// The dialogs of macOS with another program in the place of osascript: what it
// prints is the label of the button that was pressed.
func TestDialogs(t *testing.T) {
	d := newDialogs(slog.New(slog.DiscardHandler))
	script := "echo 'Deny once'"
	d.command = func(ctx context.Context, n Notice) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", script) }
	n := NoticeOf(question("a", "Connect"))
	show := func(replaces uint32) uint32 {
		t.Helper()
		id, err := d.Show(n, replaces)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	next := func() Event {
		t.Helper()
		select {
		case e := <-d.Events():
			return e
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
			return Event{}
		}
	}
	id := show(0)
	if e := next(); e != (Event{ID: id, Key: keyDeny}) {
		t.Errorf("%+v", e)
	}
	script = "echo something else"
	id = show(0)
	if e := next(); e != (Event{ID: id}) {
		t.Errorf("a label of nobody: %+v", e)
	}
	script = "exit 1" // closed by Escape
	id = show(0)
	if e := next(); e != (Event{ID: id}) {
		t.Errorf("closed: %+v", e)
	}
	script = "exec sleep 1000"
	first := show(0)
	second := show(first)
	for range maxDialogs - 1 {
		show(0)
	}
	if _, err := d.Show(n, 0); err == nil {
		t.Error("there is no end of dialogs")
	}
	d.Withdraw(second)
	select {
	case e := <-d.Events():
		t.Errorf("one that was withdrawn says %+v", e)
	case <-time.After(100 * time.Millisecond):
	}
	d.Close() // ends those that are left

	args := dialogCommand(t.Context(), Notice{Title: `" & quit`, Body: "x", Buttons: []Button{{keyDeny, "Deny once"}, {keyDetails, "Details…"}}}).Args
	if want := []string{"/usr/bin/osascript", "-e", dialogScript, "--", "Consentry", "\" & quit\n\nx", "Details…", "Deny once"}; !slices.Equal(args, want) {
		t.Errorf("%q", args)
	}
}
