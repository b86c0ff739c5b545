package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

func (a *Agent) list() []*run {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*run, 0, len(a.runs))
	for _, r := range a.runs {
		list = append(list, r)
	}
	return list
}

// register gives a prepared run its name, its ids and its directory.
func (a *Agent) register(rec *record) (*run, error) {
	var ready []uint32
	if rec.Format != formatModule {
		ready = a.readySlots()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := map[string]bool{}
	for _, r := range a.runs {
		taken[r.rec.Name] = true
	}
	if taken[rec.Name] {
		return nil, &api.Error{
			Code: "name-taken", Message: "there is a run \"" + rec.Name + "\" already", Status: statusConflict,
			Hint: "choose another --name, or remove it with: consentry rm " + rec.Name,
		}
	}
	for rec.Name == "" {
		if name := newName(); !taken[name] {
			rec.Name = name
		} else if len(taken) > len(adjectives)*len(animals)/2 {
			rec.Name = name + "-" + rec.ID[:4]
		}
	}
	slot, err := a.freeSlot(ready)
	if err != nil {
		return nil, err
	}
	rec.Slot = slot
	dir := a.runDir(rec.ID)
	rec.place(dir)
	if m := rec.App.Manifest; rec.Spec.Image != nil && m != nil && m.Exec == app.ExecImage {
		rec.Spec.Pinned = a.cfg.Now() // the image is unpacked, the app has not run
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	r := newRun(a, rec)
	err = makeUpper(rec.Spec.Image)
	if err == nil {
		err = r.save()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	a.runs[rec.ID] = r
	a.bell.ring(api.News{Runs: true})
	return r, nil
}

// makeUpper makes the directories for what the app writes.
func makeUpper(img *sandbox.Image) error {
	if img == nil || img.Upper == "" { // a module, or in memory
		return nil
	}
	if err := os.Mkdir(filepath.Dir(img.Upper), 0o700); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(img.Upper, 0o755), os.Mkdir(img.Work, 0o700))
}

// forget removes a run that has ended, and what it wrote; with volumes also
// those that it had because of its image.
func (a *Agent) forget(r *run, volumes bool) error {
	a.unlist(r)
	_ = r.keep.wait() // else it is written into what is removed; how it went matters no more
	if err := removeRun(r.dir); err != nil {
		return err
	}
	if !volumes {
		return nil
	}
	rec, _ := r.snapshot()
	return a.dropVolumes(rec)
}

// unlist makes the name of a run free.
func (a *Agent) unlist(r *run) {
	a.mu.Lock()
	delete(a.runs, r.rec.ID)
	a.mu.Unlock()
	a.bell.ring(api.News{Runs: true})
}

// noteStart writes the start, and what the user gave with it, into the ledger.
func (a *Agent) noteStart(rec record) error {
	var events []consent.Event
	note := func(event, kind, target string) {
		events = append(events, consent.Event{Event: event, App: rec.App, Run: rec.ID, Kind: kind, Target: target, By: "cli"})
	}
	note("start", "", rec.Source)
	for _, p := range rec.Request.Ports {
		note("publish", string(consent.NetListen), strconv.Itoa(int(p.App)))
	}
	for _, m := range rec.Spec.Mounts {
		kind := consent.FileRead
		if !m.ReadOnly {
			kind = consent.FileWrite
		}
		note("share", string(kind), m.Source)
	}
	for _, wall := range rec.Spec.Waived {
		note("waive", "wall", wall)
	}
	return a.engine.Note(events...)
}

func (a *Agent) createRun(w http.ResponseWriter, r *http.Request) error {
	return a.admitted(w, r, false, func(s *stream, rec *record) error {
		run, err := a.register(rec)
		if err != nil {
			a.engine.RunEnded(rec.ID) // what was answered for this run only
			return err
		}
		if err := a.makeVolumes(a.ctx, *rec); err != nil {
			return errors.Join(err, a.forget(run, true))
		}
		return a.bringUp(run, s, !rec.Request.Detach)
	})
}

// bringUp starts a run and lets s follow it.
func (a *Agent) bringUp(r *run, s *stream, follow bool) error {
	if !follow {
		if err := r.start(a.ctx, nil); err != nil {
			return err
		}
		if err := s.json(api.FrameStarted, r.summary(a)); err != nil {
			return nil //nolint:nilerr // the client has gone, the run goes on
		}
		s.awaitEnd()
		return nil
	}
	gate := &gatedSink{sink: s, open: make(chan struct{})}
	if err := r.start(a.ctx, gate); err != nil {
		close(gate.open)
		if rec, _ := r.snapshot(); rec.Request.Remove {
			err = errors.Join(err, a.forget(r, true))
		}
		return err
	}
	_, l := r.snapshot()
	s.json(api.FrameStarted, r.summary(a)) //nolint:errcheck // follow notices
	close(gate.open)
	return a.follow(r, l, s, gate)
}

// gatedSink holds output back until the client was told that the run started.
type gatedSink struct {
	sink
	open chan struct{}
}

func (g *gatedSink) output(stream string, data []byte) error {
	<-g.open
	return g.sink.output(stream, data)
}

// follow carries a terminal's frames until the run ends or the client leaves.
// The run goes on when the client leaves.
func (a *Agent) follow(r *run, l *live, s *stream, attached sink) error {
	if l == nil { // it ended at once
		return s.json(api.FrameExit, r.exit())
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	rec, _ := r.snapshot()
	left := make(chan struct{})
	a.work.Go(func() {
		defer close(left)
		//nolint:errcheck // however it left
		s.serve(ctx, l.target())
	})
	if !rec.Request.NoInput {
		a.work.Go(func() { s.showPrompts(ctx, a, rec.ID) })
	}
	select {
	case <-l.done:
		err := s.json(api.FrameExit, l.exit)
		s.conn.Close()
		<-left
		return err
	case <-left:
		l.output.detach(attached)
		s.conn.Close()
		return nil
	}
}

func (r *run) exit() sandbox.Exit {
	rec, _ := r.snapshot()
	if rec.Exit == nil {
		return sandbox.Exit{Code: exitOfFault}
	}
	return *rec.Exit
}

// summary is the run as `ps` shows it.
func (r *run) summary(a *Agent) api.Run {
	rec, l := r.snapshot()
	if l != nil {
		rec.Health = l.health.get()
	}
	for _, p := range a.engine.Pending() {
		if p.Request.Run == rec.ID {
			rec.Requests++
		}
	}
	rec.AppName, rec.AppID = consent.CleanName(rec.App.Name), string(rec.App.ID())
	return rec.Run
}

func (a *Agent) listRuns(w http.ResponseWriter, r *http.Request) error {
	all := r.URL.Query().Get("all") != ""
	list := []api.Run{}
	for _, run := range a.list() {
		if sum := run.summary(a); all || !ended(sum.State) {
			list = append(list, sum)
		}
	}
	slices.SortFunc(list, func(x, y api.Run) int { return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(x.ID, y.ID)) })
	return ok(w, list)
}

func (a *Agent) inspectRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	detail := api.RunDetail{Run: run.summary(a), Request: rec.Request, Spec: rec.Spec, Grants: []api.Grant{}}
	for _, rule := range a.engine.Rules(rec.App.ID()) {
		detail.Grants = append(detail.Grants, ruleToAPI(rule))
	}
	if l != nil {
		posture, err := l.instance.Posture(r.Context())
		switch {
		case err == nil:
			detail.Posture = &posture
		case !errors.Is(err, sandbox.ErrUnavailable): // that app has just ended
			return err
		}
	}
	return ok(w, detail)
}

func (a *Agent) removeRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l != nil && r.URL.Query().Get("force") == "" {
		return &api.Error{
			Code: "running", Message: rec.Name + " is running", Status: statusConflict,
			Hint: "stop it first with: consentry stop " + rec.Name + "; or use rm -f",
		}
	}
	run.stoppedByUser()
	run.end("removed")
	if err := a.forget(run, r.URL.Query().Get("volumes") != ""); err != nil {
		return err
	}
	return ok(w, rec.Run)
}

func (a *Agent) startRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	s, err := upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	ctx, done := s.whileConnected(a.ctx)
	err = a.readmit(ctx, run, s)
	done()
	if err == nil {
		err = a.bringUp(run, s, r.URL.Query().Get("attach") != "")
	}
	if err != nil {
		s.fail(err)
	}
	return nil
}

func (a *Agent) attachRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l == nil {
		return notRunning(rec.Name)
	}
	s, err := upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	if err := s.json(api.FrameStarted, run.summary(a)); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	l.output.attach(s)
	return a.follow(run, l, s, s)
}

func (a *Agent) stopRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	req := api.StopRequest{Grace: -1}
	if err := readBody(r, &req); err != nil {
		return err
	}
	if err := run.stop(r.Context(), req.Grace); err != nil {
		return err
	}
	return ok(w, run.summary(a))
}

func (a *Agent) killRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	var req api.KillRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l == nil {
		return notRunning(rec.Name)
	}
	if req.Signal == 0 {
		req.Signal = int(sandbox.SIGKILL)
	}
	if sandbox.Signal(req.Signal) == sandbox.SIGKILL {
		run.stoppedByUser()
		if err := l.wake(r.Context()); err != nil {
			return err
		}
	}
	if err := l.signal(r.Context(), sandbox.Signal(req.Signal)); err != nil && !errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	return ok(w, run.summary(a))
}

func (a *Agent) getLogs(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	var growing *output
	if l != nil && r.URL.Query().Get("follow") != "" {
		growing = l.output
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	//nolint:errcheck // the client has gone
	copyLog(r.Context(), filepath.Join(a.runsDir(), rec.ID), growing, flushing{w})
	return nil
}

// flushing sends every write at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}
