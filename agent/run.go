package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// run is one app run, alive or not.
type run struct {
	agent *Agent
	dir   string
	keep  keeper

	startMu sync.Mutex // held while the run is started; taken to end it

	mu   sync.Mutex
	rec  record
	live *live // while its sandbox stands
}

func newRun(a *Agent, rec *record) *run {
	dir := a.runDir(rec.ID)
	return &run{agent: a, dir: dir, rec: *rec, keep: keeper{write: func(raw []byte) error { return writeRecord(dir, raw) }}}
}

func (a *Agent) runDir(id string) string { return filepath.Join(a.runsDir(), id) }

// move changes the state and saves it. A start and its success are saved behind:
// for an agent that starts anew both are a run that was cut off.
func (r *run) move(ev event, change func(*record)) error {
	if err := r.moveOn(ev, change); err != nil || ev == evStart || ev == evUp {
		return err
	}
	return r.keep.wait()
}

func (r *run) moveOn(ev event, change func(*record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	to, err := next(r.rec.State, ev)
	if err != nil {
		return conflict(r.rec.Name, err)
	}
	r.rec.State = to
	if change != nil {
		change(&r.rec)
	}
	r.agent.bell.ring(api.News{Runs: true})
	return r.saveMove()
}

// saveMove begins to write the record after a move. That of a run which is
// removed at its end stays as it was made: whatever became of the run, the next
// start of the agent removes it. r.mu is held.
func (r *run) saveMove() error {
	if r.rec.Request.Remove {
		return nil
	}
	return r.save()
}

// save begins to write the record; keep.wait tells how that went. r.mu is held.
func (r *run) save() error {
	raw, err := json.MarshalIndent(&r.rec, "", "  ")
	if err != nil {
		return fmt.Errorf("run %s: %w", r.rec.ID, err)
	}
	r.keep.put(raw, r.agent.work.Go)
	return nil
}

func conflict(name string, err error) error {
	return &api.Error{Code: "state", Message: fmt.Sprintf("%s: %v", name, err), Status: statusConflict}
}

// snapshot returns a copy of the record and what is alive.
func (r *run) snapshot() (record, *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec, r.live
}

// start raises the sandbox. to, if any, is attached before the first byte of
// output.
func (r *run) start(ctx context.Context, to sink) error {
	r.startMu.Lock()
	defer r.startMu.Unlock()
	if err := r.move(evStart, nil); err != nil {
		return err
	}
	rec, _ := r.snapshot()
	l := newLive(r.agent, rec)
	l.savePorts = func() { r.savePorts(l) }
	l.paused = r.notePause
	if err := l.raise(ctx, r.dir, to, r.keep.wait); err != nil {
		l.teardown()
		r.agent.engine.RunEnded(rec.ID) // what was given to this run only
		failed := r.move(evFailed, func(rec *record) { rec.Error = asAPIError(err); rec.Ended = r.agent.cfg.Now() })
		return errors.Join(err, failed)
	}
	r.mu.Lock()
	r.live = l
	r.mu.Unlock()
	r.agent.work.Go(func() { r.supervise(l) })
	err := r.move(evUp, func(rec *record) {
		rec.Started, rec.Ended, rec.Exit, rec.Error = r.agent.cfg.Now(), time.Time{}, nil, nil
		rec.Stopped = false
		rec.Ports = l.mappings(false)
	})
	if err == nil {
		l.offerPorts()
	}
	return err
}

// notePause records that the sandbox was paused by itself.
func (r *run) notePause(reason string) {
	if err := r.move(evPause, func(rec *record) { rec.Notice = reason }); err != nil {
		r.agent.cfg.Log.Warn("record a pause", "run", r.rec.ID, "error", err)
	}
}

// savePorts keeps what is published now, also for the next start.
func (r *run) savePorts(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live != l {
		return
	}
	r.rec.Ports, r.rec.Request.Ports = l.mappings(false), l.mappings(true)
	r.agent.bell.ring(api.News{Runs: true})
	if err := r.saveMove(); err != nil {
		r.agent.cfg.Log.Error("record the ports of a run", "run", r.rec.ID, "error", err)
	}
}

// supervise waits for the end of the app and puts everything away.
func (r *run) supervise(l *live) {
	exit, err := l.instance.Wait(context.Background())
	if err != nil {
		exit.Code, exit.Reason = exitOfFault, err.Error()
	}
	if exit.Reason == "" {
		exit.Reason = l.endedBecause()
	}
	l.teardown()
	r.agent.engine.RunEnded(r.rec.ID)
	l.exit = exit
	gone := r.recordEnd(exit)
	close(l.done)
	if gone {
		time.Sleep(discardPause)
		r.discard()
	}
}

// discardPause lets whoever waits for the exit be told before the folder is
// removed: one after the other is sooner than both at once.
const discardPause = 20 * time.Millisecond

// exitOfFault is the exit code of a run that we lost, as docker's is.
const exitOfFault = 125

// recordEnd writes the end down; gone says that the run is to be removed, and
// known to nobody from now on.
func (r *run) recordEnd(exit sandbox.Exit) (gone bool) {
	log := r.agent.cfg.Log
	r.startMu.Lock() // the start that brought it up has recorded it
	defer r.startMu.Unlock()
	r.mu.Lock()
	r.live = nil
	r.mu.Unlock()
	err := r.moveOn(evExit, func(rec *record) { rec.Exit, rec.Ended = &exit, r.agent.cfg.Now() })
	rec, _ := r.snapshot()
	stop := consent.Event{Event: "stop", App: rec.App, Run: rec.ID, Detail: exitText(exit)}
	if rec.Request.Remove {
		r.agent.engine.NoteSoon(stop)
		r.agent.unlist(r)
		return true
	}
	err = errors.Join(err, r.agent.engine.Note(stop), r.keep.wait()) // the two are written at once
	if err != nil {
		log.Error("record the end of a run", "run", r.rec.ID, "error", err)
	}
	r.planRestart(exit)
	return false
}

// discard removes what is left of a run that is removed at its end.
func (r *run) discard() {
	if err := r.agent.forget(r, true); err != nil {
		r.agent.cfg.Log.Error("remove run", "run", r.rec.ID, "error", err)
	}
}

func exitText(exit sandbox.Exit) string {
	text := fmt.Sprintf("exit %d", exit.Code)
	if exit.OOM {
		text += ", out of memory"
	}
	if exit.Reason != "" {
		text += ", " + exit.Reason
	}
	return text
}

// end stops a run and waits until it has ended.
func (r *run) end(reason string) {
	r.startMu.Lock()
	_, l := r.snapshot()
	r.startMu.Unlock()
	if l == nil {
		return
	}
	l.because(reason)
	if err := l.instance.Stop(context.Background()); err != nil {
		r.agent.cfg.Log.Error("stop", "run", r.rec.ID, "error", err)
	}
	<-l.done
}

// stop asks the app to end: its stop signal, the grace, then the end by force.
// A negative grace is the app's own.
func (r *run) stop(ctx context.Context, grace time.Duration) error {
	rec, l := r.snapshot()
	if l == nil && r.giveUp() {
		return nil
	}
	if l == nil {
		return notRunning(rec.Name)
	}
	if err := r.move(evStop, func(rec *record) { rec.Stopped = true }); err != nil {
		return err
	}
	if err := l.wake(ctx); err != nil {
		return err
	}
	if grace < 0 {
		if err := l.instance.Stop(ctx); err != nil {
			return err
		}
		return wait(ctx, l.done)
	}
	stop := rec.Spec.Stop.Signal
	if stop == 0 {
		stop = sandbox.SIGTERM
	}
	if err := l.signal(ctx, stop); err != nil && !errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if wait(patience, l.done) == nil {
		return nil
	}
	if err := l.signal(ctx, sandbox.SIGKILL); err != nil && !errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	return wait(ctx, l.done)
}

// stoppedByUser keeps the restart policy from bringing the run back.
func (r *run) stoppedByUser() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Stopped = true
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func notRunning(name string) error {
	return &api.Error{
		Code: "not-running", Message: name + " is not running", Status: statusConflict,
		Hint: "see what runs with: consentry ps -a",
	}
}
