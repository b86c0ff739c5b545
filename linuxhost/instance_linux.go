package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

const defaultGrace = 10 * time.Second

// instance is a running app, with all optional powers of the contract.
type instance struct {
	launcher *launcherHold
	stop     sandbox.StopRule

	over chan struct{} // closed when nothing of the app runs any more
	exit sandbox.Exit
	err  error

	stopping sync.Once
	asked    chan struct{} // closed when the stop signal was sent

	trace, refusals func(ctx context.Context, over <-chan struct{}, see func(sandbox.TraceEvent) error) error
}

var (
	_ sandbox.Execer   = (*instance)(nil)
	_ sandbox.Putter   = (*instance)(nil)
	_ sandbox.Signaler = (*instance)(nil)
	_ sandbox.Resizer  = (*instance)(nil)
	_ sandbox.Pauser   = (*instance)(nil)
	_ sandbox.Statser  = (*instance)(nil)
	_ sandbox.Tracer   = (*instance)(nil)

	_ sandbox.FolderGiver   = (*instance)(nil)
	_ sandbox.RefusalTracer = (*instance)(nil)
)

func newInstance(l *launcherHold, spec sandbox.Spec) *instance {
	i := &instance{launcher: l, stop: spec.Stop, over: make(chan struct{}), asked: make(chan struct{})}
	if i.stop.Signal == 0 {
		i.stop.Signal = sandbox.SIGTERM
	}
	if i.stop.Grace <= 0 {
		i.stop.Grace = defaultGrace
	}
	return i
}

// await returns once the launcher has gone, and with it the sandbox. The app is
// over before: the launcher answers when no process of it is left.
func (i *instance) await() {
	_, err := i.launcher.peer.Call(context.Background(), verbWait, processCall{Number: appProcess}, &i.exit)
	if err != nil {
		i.exit = sandbox.Exit{Code: 128 + int(unix.SIGKILL), Reason: "the launcher has ended"}
		i.err = fmt.Errorf("wait: %w", err)
		i.launcher.end()
	}
	close(i.over)
	i.launcher.end()
}

// Wait returns once nothing of the app runs any more.
func (i *instance) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-i.over:
		return i.exit, i.err
	case <-ctx.Done():
		return sandbox.Exit{}, ctx.Err()
	}
}

// Stop asks the app to end, gives it the grace time, then ends the sandbox.
func (i *instance) Stop(ctx context.Context) error {
	grace := time.NewTimer(i.stop.Grace)
	defer grace.Stop()
	i.stopping.Do(func() {
		defer close(i.asked)
		//nolint:errcheck // what cannot be asked is killed below
		errors.Join(i.Unpause(ctx), i.Signal(ctx, i.stop.Signal))
	})
	select {
	case <-i.over:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	_, err := i.launcher.peer.Call(context.WithoutCancel(ctx), verbKill, struct{}{}, nil)
	if err != nil && !errors.Is(err, sandbox.ErrUnavailable) {
		return err
	}
	<-i.over
	return nil
}

// Posture is read back by the launcher, which sees the sandbox from outside.
func (i *instance) Posture(ctx context.Context) (sandbox.Posture, error) {
	var p sandbox.Posture
	_, err := i.launcher.peer.Call(ctx, verbPosture, struct{}{}, &p)
	return p, err
}

// freezeTime bounds how long a pause may take to hold everything.
const freezeTime = 10 * time.Second

// Pause holds every process of the app; Stop and kill still end it.
func (i *instance) Pause(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freezeTime)
	defer cancel()
	_, err := i.launcher.peer.Call(ctx, verbPause, struct{}{}, nil)
	return err
}

// Unpause lets a paused app go on; one that runs already is left alone.
func (i *instance) Unpause(ctx context.Context) error {
	_, err := i.launcher.peer.Call(ctx, verbUnpause, struct{}{}, nil)
	return err
}

// Stats come from the app's cgroup.
func (i *instance) Stats(ctx context.Context) (s sandbox.Stats, err error) {
	_, err = i.launcher.peer.Call(ctx, verbStats, struct{}{}, &s)
	return s, err
}

// Placeholders are handed over once, for whoever serves them.
func (i *instance) Placeholders(ctx context.Context) ([]*os.File, error) {
	return i.launcher.peer.Call(ctx, verbPlaceholders, struct{}{}, nil)
}

// GiveFolder mounts a folder where the app asked for it.
func (i *instance) GiveFolder(ctx context.Context, target string, f sandbox.Folder) error {
	_, err := i.launcher.peer.Call(ctx, verbGive, giveCall{Target: target, Folder: f}, nil)
	return err
}

// TakeFolder takes it away again, from those too that use it now.
func (i *instance) TakeFolder(ctx context.Context, target string) (taken sandbox.Taken, err error) {
	_, err = i.launcher.peer.Call(ctx, verbTake, giveCall{Target: target}, &taken)
	return taken, err
}

// Signal goes to the app's first process.
func (i *instance) Signal(ctx context.Context, s sandbox.Signal) error {
	return i.process(appProcess).Signal(ctx, s)
}

// Resize sets the size of the app's terminal.
func (i *instance) Resize(ctx context.Context, size sandbox.WindowSize) error {
	return i.process(appProcess).Resize(ctx, size)
}

func (i *instance) process(number int) *process { return &process{i: i, number: number} }

// Exec runs p behind the walls of the app. It owns p's files.
func (i *instance) Exec(ctx context.Context, p sandbox.Process) (sandbox.Running, error) {
	mask, files := attach(p.Stdio[:]...)
	defer fdwire.CloseAll(files)
	if len(p.Args) == 0 {
		return nil, fmt.Errorf("%w: nothing to run", sandbox.ErrInvalid)
	}
	if err := checkUser(p.User); err != nil {
		return nil, err
	}
	var reply runReply
	_, err := i.launcher.peer.Call(ctx, verbRun, runCall{Process: p, Attached: mask}, &reply, files...)
	if err != nil {
		return nil, fmt.Errorf("exec: %w", i.ended(ctx, err))
	}
	running := i.process(reply.Number)
	running.failed = reply.Failed
	return running, nil
}

// ended says so where the launcher hung up because the app has ended.
func (i *instance) ended(ctx context.Context, err error) error {
	if !errors.Is(err, sandbox.ErrUnavailable) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second) // it is known before, but for a launcher that was killed
	defer cancel()
	select {
	case <-i.over:
		return sandbox.ErrEnded
	case <-ctx.Done():
		return err
	}
}

// process is one that init started, by its number.
type process struct {
	i      *instance
	number int
	failed *sandbox.Exit // it never ran
}

func (p *process) Wait(ctx context.Context) (sandbox.Exit, error) {
	if p.failed != nil {
		return *p.failed, nil
	}
	var exit sandbox.Exit
	_, err := p.i.launcher.peer.Call(ctx, verbWait, processCall{Number: p.number}, &exit)
	if err != nil && ctx.Err() == nil { // the app ended, and its launcher with it
		return sandbox.Exit{Code: 128 + int(unix.SIGKILL), Reason: "the app has ended"}, nil
	}
	return exit, err
}

// Signal fails with sandbox.ErrEnded where the app has ended, of it or before.
func (p *process) Signal(ctx context.Context, s sandbox.Signal) error {
	_, err := p.i.launcher.peer.Call(ctx, verbSignal, processCall{Number: p.number, Signal: s}, nil)
	if err != nil {
		err = p.i.ended(ctx, err)
	}
	return err
}

func (p *process) Resize(ctx context.Context, size sandbox.WindowSize) error {
	_, err := p.i.launcher.peer.Call(ctx, verbResize, processCall{Number: p.number, Size: size}, nil)
	return err
}
