package agent

import (
	"context"
	"fmt"
	"net/http"

	"github.com/consentry/consentry/sandbox"
)

// pauseRun holds an app, unpauseRun lets it go on.
func (a *Agent) pauseRun(w http.ResponseWriter, r *http.Request) error {
	return a.hold(w, r, evPause, sandbox.Pauser.Pause)
}

func (a *Agent) unpauseRun(w http.ResponseWriter, r *http.Request) error {
	return a.hold(w, r, evUnpause, sandbox.Pauser.Unpause)
}

func (a *Agent) hold(w http.ResponseWriter, r *http.Request, ev event, act func(sandbox.Pauser, context.Context) error) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l == nil {
		return notRunning(rec.Name)
	}
	pauser, can := l.instance.(sandbox.Pauser)
	if !can {
		return fmt.Errorf("%w: this kind of app cannot be paused; stop it", sandbox.ErrNotSupported)
	}
	if _, err := next(rec.State, ev); err != nil {
		return conflict(rec.Name, err)
	}
	if err := act(pauser, r.Context()); err != nil {
		return err
	}
	if err := run.move(ev, func(rec *record) { rec.Notice = "" }); err != nil {
		return err
	}
	return ok(w, run.summary(a))
}

// wake lets a paused app hear a signal.
func (l *live) wake(ctx context.Context) error {
	if pauser, can := l.instance.(sandbox.Pauser); can {
		return pauser.Unpause(ctx)
	}
	return nil
}
