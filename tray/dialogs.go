package tray

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// maxDialogs is how many dialogs stand at once; more questions stay in the menu.
const maxDialogs = 4

// dialogs is a Notifier that shows dialogs by osascript. Text is passed as
// arguments, never as a part of the script.
type dialogs struct {
	log     *slog.Logger
	command func(ctx context.Context, n Notice) *exec.Cmd

	mu     sync.Mutex
	last   uint32
	open   map[uint32]context.CancelFunc
	closed bool

	events  chan Event
	closing chan struct{}
	work    sync.WaitGroup
}

func newDialogs(log *slog.Logger) *dialogs {
	return &dialogs{
		log: log, command: dialogCommand, open: map[uint32]context.CancelFunc{},
		events: make(chan Event, maxDialogs), closing: make(chan struct{}),
	}
}

// dialogScript has no default button, and takes title, text and buttons as
// arguments. It prints the label of the one that was pressed.
const dialogScript = `on run argv
set choices to items 3 thru -1 of argv
return button returned of (display dialog (item 2 of argv) with title (item 1 of argv) buttons choices)
end run`

func dialogCommand(ctx context.Context, n Notice) *exec.Cmd {
	args := []string{"-e", dialogScript, "--", "Consentry", n.Title + "\n\n" + n.Body}
	for _, b := range slices.Backward(n.Buttons) { // the first one stands on the right
		args = append(args, b.Label)
	}
	return exec.CommandContext(ctx, "/usr/bin/osascript", args...)
}

var errManyDialogs = errors.New("enough dialogs stand already: the question is in the menu")

func (d *dialogs) Show(n Notice, replaces uint32) (uint32, error) {
	if replaces != 0 {
		d.Withdraw(replaces) //nolint:errcheck // never fails
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.open) >= maxDialogs {
		return 0, errManyDialogs
	}
	d.last++
	id := d.last
	ctx, cancel := context.WithCancel(context.Background())
	d.open[id] = cancel
	d.work.Go(func() { d.wait(ctx, id, n) })
	return id, nil
}

// wait runs one dialog to its end. One that was withdrawn says nothing.
func (d *dialogs) wait(ctx context.Context, id uint32, n Notice) {
	out, err := d.command(ctx, n).Output()
	d.mu.Lock()
	cancel, open := d.open[id]
	delete(d.open, id)
	d.mu.Unlock()
	if !open {
		return
	}
	cancel()
	event := Event{ID: id}
	if err == nil {
		label := strings.TrimSuffix(string(out), "\n")
		for _, b := range n.Buttons {
			if b.Label == label {
				event.Key = b.Key
			}
		}
	} else {
		d.log.Debug("dialog", "error", err)
	}
	select {
	case d.events <- event:
	case <-d.closing:
	}
}

func (d *dialogs) Withdraw(id uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cancel, open := d.open[id]; open {
		delete(d.open, id)
		cancel()
	}
	return nil
}

func (d *dialogs) Events() <-chan Event { return d.events }

func (d *dialogs) Close() {
	close(d.closing)
	d.mu.Lock()
	d.closed = true
	for id, cancel := range d.open {
		delete(d.open, id)
		cancel()
	}
	d.mu.Unlock()
	d.work.Wait()
}
