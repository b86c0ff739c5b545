package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// offlineFile is there while no app gets out to the network. It outlives the
// agent: what was cut off stays so until the user says otherwise.
const offlineFile = "offline"

var errOffline = fmt.Errorf("%w: every app is offline (consentry online)", sandbox.ErrDenied)

// offline is the user's word that no app gets out to the network, whatever the
// rules say. It is set before flows are cut, and looked at after one is kept,
// so that none slips through between. Its zero value is offline, with no file.
type offline struct {
	path string

	mu     sync.Mutex
	online context.Context // ends when it is set; nil: offline
	cut    context.CancelFunc
}

// openOffline reads the word; one that cannot be read is that no app gets out.
func openOffline(path string) *offline {
	o := &offline{path: path}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		o.online, o.cut = context.WithCancel(context.Background())
	}
	return o
}

func (o *offline) on() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.online == nil
}

// set is in force when it returns, even with an error: then it is not kept, or,
// for going online, nothing has changed.
func (o *offline) set(on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case on:
		if o.online != nil {
			o.cut()
			o.online = nil
		}
		return atomicfile.Write(o.path, nil, 0o600)
	case o.online != nil:
		return nil
	}
	if err := os.Remove(o.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.online, o.cut = context.WithCancel(context.Background())
	return nil
}

// while returns a context for a question about the network: it ends when every
// app goes offline.
func (o *offline) while(ctx context.Context) (context.Context, context.CancelFunc, error) {
	o.mu.Lock()
	online := o.online
	o.mu.Unlock()
	if online == nil {
		return nil, nil, errOffline
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(online, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

func (a *Agent) getOffline(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.Offline{On: a.offline.on()})
}

// setOffline turns it on or off, and cuts what is open before it answers.
func (a *Agent) setOffline(w http.ResponseWriter, r *http.Request) error {
	var req api.Offline
	if err := readBody(r, &req); err != nil {
		return err
	}
	err := a.offline.set(req.On)
	event := "online"
	if a.offline.on() {
		event = "offline"
	}
	for _, run := range a.list() {
		if _, l := run.snapshot(); l != nil {
			l.flows.recheck()
			if l.worker != nil {
				l.recheckPorts()
			}
		}
	}
	a.bell.ring(api.News{Rules: true})
	if err := errors.Join(err, a.engine.Note(consent.Event{Event: event, By: req.By})); err != nil {
		return fmt.Errorf("%s: %w", event, err)
	}
	return ok(w, api.Offline{On: a.offline.on()})
}
