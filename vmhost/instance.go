package vmhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

const (
	defaultGrace = 10 * time.Second
	// farewell is how long a guest that was told to power off may take.
	farewell = 5 * time.Second
	// killed is the exit code of what was ended by force, as a shell says it.
	killed = 128 + int(sandbox.SIGKILL)
)

// instance is an app in its machine.
type instance struct {
	machine Machine
	peer    *guestwire.Peer
	served  chan struct{} // closed when the connection has ended
	stop    sandbox.StopRule
	app     *process
	*folders

	over chan struct{} // closed when nothing of the machine runs any more
	exit sandbox.Exit

	stopping sync.Once
	carrying sync.WaitGroup // frames

	mu     sync.Mutex
	last   int    // number of a process
	reason string // why we ended the machine
}

var (
	_ sandbox.Execer      = (*instance)(nil)
	_ sandbox.FolderGiver = (*instance)(nil)
	_ sandbox.Signaler    = (*instance)(nil)
	_ sandbox.Resizer     = (*instance)(nil)
	_ sandbox.Pauser      = (*instance)(nil)
	_ sandbox.Statser     = (*instance)(nil)
)

func newInstance(machine Machine, peer *guestwire.Peer, spec sandbox.Spec, folders *folders) *instance {
	i := &instance{
		machine: machine, peer: peer, stop: spec.Stop, folders: folders, last: guestwire.AppNumber,
		served: make(chan struct{}), over: make(chan struct{}),
	}
	if i.stop.Signal == 0 {
		i.stop.Signal = sandbox.SIGTERM
	}
	if i.stop.Grace <= 0 {
		i.stop.Grace = defaultGrace
	}
	i.app = &process{i: i, number: guestwire.AppNumber}
	return i
}

// carryFrames gives the router a card whose frames the guest sends over the
// connection.
func (i *instance) carryFrames(ctx context.Context, hello guestwire.Hello, link *os.File) error {
	if !hello.Frames {
		return errors.New("neither the machine nor its guest has a network card")
	}
	if link == nil {
		return nil // nobody is at the other end
	}
	ours, theirs, err := fdwire.SocketPair()
	if err != nil {
		return err
	}
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return err
	}
	stream, err := i.peer.Open(ctx, guestwire.VerbFrames, struct{}{}, nil)
	if err != nil {
		conn.Close()
		theirs.Close()
		return err
	}
	for _, way := range []struct {
		to   io.WriteCloser
		from io.Reader
	}{{stream, conn}, {conn, stream}} {
		i.carrying.Go(func() {
			io.Copy(way.to, way.from) //nolint:errcheck // without its wire an app is offline
			conn.Close()
			stream.Close()
		})
	}
	return connect(theirs, link)
}

// Relay has the guest pass on connections from the network that it shares with
// others to a TCP port of the app, until ctx ends; ended is closed then. It is for
// drivers whose guests are in such a network (WSL).
func (i *instance) Relay(ctx context.Context, port uint16) (address netip.AddrPort, ended <-chan struct{}, err error) {
	var answer guestwire.Relayed
	stream, err := i.peer.Open(ctx, guestwire.VerbRelay, guestwire.Relay{Port: port}, &answer)
	if err != nil {
		return address, nil, err
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	go func() {
		defer close(over)
		defer stop()
		io.Copy(io.Discard, stream) //nolint:errcheck // any end is the end
		stream.Close()
	}()
	return answer.Address, over, nil
}

func (i *instance) serve() {
	defer close(i.served)
	//nolint:errcheck // its end is what counts
	i.peer.Serve(context.Background())
}

// await learns how the app ended and takes the machine down.
func (i *instance) await() {
	defer close(i.over)
	ended, err := i.app.ended(context.Background())
	if err == nil {
		i.exit = ended.Exit
		bye, cancel := context.WithTimeout(context.Background(), farewell)
		//nolint:errcheck // it is ended below all the same
		i.peer.Call(bye, guestwire.VerbPowerOff, struct{}{}, nil)
		//nolint:errcheck // as above
		i.machine.Wait(bye)
		cancel()
	} else {
		i.exit = sandbox.Exit{Code: killed, Reason: i.endedBecause(err)}
	}
	i.peer.Close()
	<-i.served
	i.endServing()
	i.carrying.Wait()
	//nolint:errcheck // it may have ended by itself
	i.machine.Kill()
	//nolint:errcheck // it ends with Kill
	i.machine.Wait(context.Background())
	i.app.files.wait()
}

// endedBecause finds out why a guest does not answer any more.
func (i *instance) endedBecause(err error) string {
	i.mu.Lock()
	reason := i.reason
	i.mu.Unlock()
	if reason != "" {
		return reason
	}
	if err := why(i.machine); err != nil {
		return "the microVM has ended: " + err.Error()
	}
	return "the microVM's init does not answer any more: " + err.Error()
}

// Wait returns once nothing of the machine runs any more.
func (i *instance) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-i.over:
		return i.exit, nil
	case <-ctx.Done():
		return sandbox.Exit{}, ctx.Err()
	}
}

// Stop asks the app to end, gives it the grace time, then ends the machine.
func (i *instance) Stop(ctx context.Context) error {
	grace := time.NewTimer(i.stop.Grace)
	defer grace.Stop()
	i.stopping.Do(func() {
		asking, cancel := context.WithTimeout(ctx, i.stop.Grace)
		defer cancel()
		//nolint:errcheck // what cannot be asked is ended below
		errors.Join(i.Unpause(asking), i.Signal(asking, i.stop.Signal))
	})
	select {
	case <-i.over:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	i.because("it did not end in time, and was ended")
	err := i.machine.Kill()
	<-i.over
	return err
}

// Signal goes to the app's first process. The end by force ends the machine
// where the guest does not answer.
func (i *instance) Signal(ctx context.Context, s sandbox.Signal) error {
	if s != sandbox.SIGKILL {
		return i.app.Signal(ctx, s)
	}
	asking, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	if i.app.Signal(asking, s) == nil {
		return nil
	}
	i.because("it was killed, and its guest did not answer")
	return i.machine.Kill()
}

// because keeps the first reason for which we ended the machine.
func (i *instance) because(reason string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reason = cmp.Or(i.reason, reason)
}

// Resize sets the size of the app's terminal.
func (i *instance) Resize(ctx context.Context, size sandbox.WindowSize) error {
	return i.app.Resize(ctx, size)
}

// Pause holds every process of the app.
func (i *instance) Pause(ctx context.Context) error {
	return i.peer.Call(ctx, guestwire.VerbPause, struct{}{}, nil)
}

// Unpause lets a paused app go on.
func (i *instance) Unpause(ctx context.Context) error {
	return i.peer.Call(ctx, guestwire.VerbUnpause, struct{}{}, nil)
}

// Stats are what the guest says of the app; its memory is at most the machine's.
func (i *instance) Stats(ctx context.Context) (s sandbox.Stats, err error) {
	return s, i.peer.Call(ctx, guestwire.VerbStats, struct{}{}, &s)
}

// Posture is the machine's own walls, as its driver reads them back, and those
// in the guest, as the guest does.
func (i *instance) Posture(ctx context.Context) (sandbox.Posture, error) {
	var p sandbox.Posture
	if err := i.peer.Call(ctx, guestwire.VerbPosture, struct{}{}, &p); err != nil {
		return p, err
	}
	guestwire.CleanWalls(p.Walls)
	p.Host = "vm"
	walled, can := i.machine.(Walled)
	if !can {
		return p, nil
	}
	walls, err := walled.Walls(ctx)
	p.Walls = slices.Concat(walls, p.Walls)
	return p, err
}

// Exec runs p behind the walls of the app. It owns p's files.
func (i *instance) Exec(ctx context.Context, p sandbox.Process) (sandbox.Running, error) {
	files := newStandard(p.Stdio)
	p.Stdio = [3]*os.File{}
	i.mu.Lock()
	i.last++
	run := &process{i: i, number: i.last}
	i.mu.Unlock()
	err := i.peer.Call(ctx, guestwire.VerbRun, guestwire.Run{Number: run.number, Process: p, Streams: files.there()}, nil)
	if err == nil {
		err = run.attach(ctx, files)
	}
	if err != nil {
		files.close()
		return nil, fmt.Errorf("exec: %w", err)
	}
	return run, nil
}

// process is one in the guest, by its number.
type process struct {
	i      *instance
	number int
	files  *standard
}

// attach connects the standard files with their streams.
func (p *process) attach(ctx context.Context, files *standard) error {
	p.files = files
	for n, there := range files.there() {
		if !there {
			continue
		}
		stream, err := p.i.peer.Open(ctx, guestwire.VerbStream, guestwire.Standard{Number: p.number, File: n}, nil)
		if err != nil {
			return err
		}
		files.carry(n, stream)
	}
	return nil
}

// ended waits for the process, and for the output that the guest says it sent.
func (p *process) ended(ctx context.Context) (e guestwire.Ended, err error) {
	if err = p.i.peer.Call(ctx, guestwire.VerbWait, guestwire.Which{Number: p.number}, &e); err != nil {
		return e, err
	}
	e.Check()
	p.files.settle(e.Drained)
	return e, nil
}

// Wait returns when the process has ended.
func (p *process) Wait(ctx context.Context) (sandbox.Exit, error) {
	e, err := p.ended(ctx)
	if err != nil && ctx.Err() == nil {
		p.files.close()
		return sandbox.Exit{Code: killed, Reason: "the app has ended"}, nil
	}
	return e.Exit, err
}

func (p *process) Signal(ctx context.Context, s sandbox.Signal) error {
	return p.i.peer.Call(ctx, guestwire.VerbSignal, guestwire.Which{Number: p.number, Signal: s}, nil)
}

func (p *process) Resize(ctx context.Context, size sandbox.WindowSize) error {
	return p.i.peer.Call(ctx, guestwire.VerbResize, guestwire.Which{Number: p.number, Size: size}, nil)
}
