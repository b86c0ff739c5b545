package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// live is what exists only while a run is alive. What is nil was not needed or
// not reached; teardown puts away what is there.
type live struct {
	agent *Agent
	rec   record

	ports    portTable
	output   *output
	files    stdFiles
	flows    *flows
	leases   *leases
	tally    *tally
	folders  *folders
	worker   *worker.Client // the router of an image
	routing  chan error     // whether it routes; nil without a router
	instance sandbox.Instance
	broker   *broker

	ctx     context.Context // of the helpers
	cancel  context.CancelFunc
	helpers sync.WaitGroup
	done    chan struct{} // closed when all has ended and was recorded
	exit    sandbox.Exit  // once done
	health  health

	savePorts func()              // writes the ports into the run's record
	paused    func(reason string) // says in the run's record that it was paused, and why

	mu     sync.Mutex
	reason string // why we ended it
}

func newLive(a *Agent, rec record) *live {
	l := &live{agent: a, rec: rec, flows: newFlows(a.engine, a.offline), leases: newLeases(a.engine), tally: newTally(a.engine), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(a.ctx)
	return l
}

// raise takes ports and files, then starts the router and the sandbox. saved
// waits until the run's record is on disk: the app does not run before. Whoever
// calls raise tears down after an error.
func (l *live) raise(ctx context.Context, dir string, to sink, saved func() error) error {
	if err := l.takePorts(); err != nil {
		return err
	}
	if err := l.openFiles(dir, to); err != nil {
		return err
	}
	if err := l.agent.givePresets(ctx, l.rec); err != nil {
		return err
	}
	if err := l.agent.giveShares(ctx, l.rec); err != nil {
		return err
	}
	noted := make(chan error, 1)
	l.helpers.Go(func() { noted <- l.agent.noteStart(l.rec) })
	return l.startSandbox(ctx, func() error { return errors.Join(<-noted, saved()) })
}

func (l *live) openFiles(dir string, to sink) (err error) {
	if l.output, err = openOutput(dir, l.agent.cfg.Now); err != nil {
		return err
	}
	if to != nil {
		l.output.attach(to)
	}
	return l.files.open(l.output.pipe, l.rec.Request.Stdin)
}

// startSandbox makes the sandbox; the app's first instruction comes after ready.
func (l *live) startSandbox(ctx context.Context, ready func() error) (err error) {
	b := &broker{
		engine: l.agent.engine, data: l.agent.data, dialler: l.agent.dialler, offline: l.agent.offline, app: l.rec.App, run: l.rec.ID, flows: l.flows, leases: l.leases, handles: newHandles(), tally: l.tally, now: l.agent.cfg.Now,
		ask: consent.Ask{Hold: l.rec.Request.Hold, NoInput: l.rec.Request.NoInput, Learn: l.rec.Request.Learn},
	}
	l.folders = l.newFolders(b)
	b.folders = l.folders
	spec := l.rec.Spec
	spec.Mounts = l.folders.partsAtStart(spec.Mounts)
	if spec.Image != nil {
		if err := makeBlocking(l.files.app); err != nil {
			return fmt.Errorf("standard files: %w", err)
		}
		if spec.Link, err = l.startRouter(ctx, b); err != nil {
			return err
		}
	}
	spec.Process.Stdio = l.files.give()
	routed := ready
	if l.routing != nil {
		routed = func() error { return errors.Join(ready(), <-l.routing) }
	}
	if l.instance, err = startWhen(ctx, l.agent.hostOf(l.rec), spec, b, routed); err != nil {
		return err
	}
	l.sumRefusals()
	if err := l.offerFolders(ctx); err != nil {
		return errors.Join(err, l.instance.Stop(ctx))
	}
	if check := l.rec.Check; check != nil {
		l.helpers.Go(func() { l.watchHealth(*check) })
	}
	if l.worker != nil {
		l.openPorts(ctx)
		l.helpers.Go(l.watchWorker)
		l.helpers.Go(func() { watchRules(l.ctx, l.agent.engine, l.recheckPorts) })
	}
	// Not with the ports: cutting flows waits for nobody.
	l.helpers.Go(func() { watchRules(l.ctx, l.agent.engine, l.flows.recheck) })
	l.helpers.Go(func() { watchRules(l.ctx, l.agent.engine, l.leases.recheck) })
	if l.folders.giver != nil && len(l.folders.places) > 0 {
		l.helpers.Go(func() { watchRules(l.ctx, l.agent.engine, l.folders.recheck) })
	}
	l.broker = b
	return nil
}

// startWhen starts an app once ready has returned; the host does as much as it
// can before.
func startWhen(ctx context.Context, host sandbox.Host, spec sandbox.Spec, b sandbox.Broker, ready func() error) (sandbox.Instance, error) {
	if gated, can := host.(sandbox.Gated); can {
		return gated.StartWhen(ctx, spec, b, ready)
	}
	if err := ready(); err != nil {
		fdwire.CloseAll(append(spec.Process.Stdio[:], spec.Link))
		return nil, err
	}
	return host.Start(ctx, spec, b)
}

// startRouter begins to start the worker that serves the app's network card, and
// returns the socket on which the sandbox hands it over. The app waits for what
// routing says.
func (l *live) startRouter(ctx context.Context, b sandbox.Broker) (*os.File, error) {
	ours, theirs, err := fdwire.SocketPair()
	if err != nil {
		return nil, err
	}
	w, err := l.agent.cfg.Workers.Get(ctx, b)
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, err
	}
	l.worker, l.routing = w, make(chan error, 1)
	l.helpers.Go(func() {
		err := w.Route(ctx, l.rec.Spec.Hostname, l.rec.Request.Bandwidth, ours)
		if err != nil {
			err = fmt.Errorf("router: %w", err)
		}
		l.routing <- err
	})
	return theirs, nil
}

// watchWorker stops an app whose router died: it would be offline for good.
func (l *live) watchWorker() {
	select {
	case <-l.worker.Ended():
		l.because("its network worker ended")
		l.instance.Stop(l.ctx) //nolint:errcheck // Wait tells
	case <-l.ctx.Done():
	}
}

func (l *live) because(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == "" {
		l.reason = reason
	}
}

func (l *live) endedBecause() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

// teardown puts everything away, the way out first.
func (l *live) teardown() {
	l.cancel()
	l.flows.close()
	l.leases.endAll()
	l.ports.close()
	if l.worker != nil {
		l.worker.HangUp()
		l.agent.work.Go(func() {
			l.worker.Close() //nolint:errcheck // it is gone, however it ended
		})
	}
	l.helpers.Wait()
	l.tally.flush()
	l.ports.wait()
	l.files.close()
	if l.output != nil {
		l.output.close()
	}
}

// signal reaches the app's first process.
func (l *live) signal(ctx context.Context, s sandbox.Signal) error {
	signaler, can := l.instance.(sandbox.Signaler)
	if !can {
		return fmt.Errorf("%w: this kind of app takes no signals", sandbox.ErrNotSupported)
	}
	return signaler.Signal(ctx, s)
}

func (l *live) resize(ctx context.Context, size sandbox.WindowSize) error {
	if resizer, can := l.instance.(sandbox.Resizer); can {
		return resizer.Resize(ctx, size)
	}
	return nil
}

// target is what the frames of a client act on.
func (l *live) target() target {
	return target{stdin: l.files.stdin, signal: l.signal, resize: l.resize}
}
