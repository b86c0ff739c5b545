package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// Name is the hidden subcommand of the program that runs Main.
const Name = "worker"

// Client is the agent's end of one worker process.
type Client struct {
	cmd    *exec.Cmd
	peer   *wire.Peer
	broker atomic.Pointer[wire.BrokerServer] // nil: has no job yet
	quiet  chan struct{}                     // closed once nothing that it asks is answered any more
	ended  chan struct{}                     // closed once the process was reaped
	err    error                             // how it ended; read after ended
	left   bool                              // it ended by itself; read after ended
	stop   context.CancelFunc
	load   loadJob // what it has loaded; zero for nothing
}

// Start runs self as a worker that routes, whose questions broker answers. stderr
// takes the worker's own log.
func Start(ctx context.Context, self string, broker sandbox.Broker, stderr io.Writer) (*Client, error) {
	c, err := start(ctx, self, stderr, startCalm)
	if err == nil {
		c.serve(broker)
	}
	return c, err
}

// serve has broker answer from now on. It comes before the worker's job.
func (c *Client) serve(broker sandbox.Broker) { c.broker.Store(wire.NewBrokerServer(broker)) }

func start(ctx context.Context, self string, stderr io.Writer, begin func(*exec.Cmd) error, args ...string) (*Client, error) {
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command(self, append([]string{Name}, args...)...)
	cmd.Env = []string{} // nothing of the agent's environment
	cmd.Dir = "/"
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{theirs}
	detach(cmd)
	if err := begin(cmd); err != nil {
		conn.Close()
		return nil, fmt.Errorf("worker: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Client{cmd: cmd, quiet: make(chan struct{}), ended: make(chan struct{}), stop: cancel}
	c.peer = wire.New(conn, c.handle)
	go c.reap(ctx)
	return c, nil
}

// reap serves the worker's questions until it hangs up, then collects it.
func (c *Client) reap(ctx context.Context) {
	defer close(c.ended)
	err := c.peer.Serve(ctx)
	if broker := c.broker.Load(); broker != nil {
		broker.Close()
	}
	close(c.quiet)
	if c.left = errors.Is(err, io.EOF); !c.left {
		c.cmd.Process.Kill() //nolint:errcheck // it may have ended
	}
	c.err = c.cmd.Wait()
}

func (c *Client) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	fdwire.CloseAll(files) // a worker has nothing to give
	broker := c.broker.Load()
	if broker == nil {
		return wire.Reply{}, fmt.Errorf("%w: %q before there is a job", sandbox.ErrUnavailable, verb)
	}
	reply, known, err := broker.Handle(ctx, verb, body)
	if !known {
		return wire.Reply{}, fmt.Errorf("%w: %q", sandbox.ErrInvalid, verb)
	}
	return reply, err
}

// HangUp ends the worker. Nothing that it asks is answered once HangUp returns, but
// the kernel may be busy for a while with what the process had, above all with an
// app's network card: Close waits for that too.
func (c *Client) HangUp() {
	c.peer.Close()
	c.stop()
	<-c.quiet
}

// Close ends the worker and waits until it is gone.
func (c *Client) Close() error {
	c.HangUp()
	<-c.ended
	return c.err
}

// PID is the process's id.
func (c *Client) PID() int { return c.cmd.Process.Pid }

func (c *Client) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// Ended is closed once the process is gone.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Route starts the router. It takes over link, the socket on which the
// network card of the app will come. hostname is the app's own; bandwidth is in
// bytes a second, each way, 0 is no limit.
func (c *Client) Route(ctx context.Context, hostname string, bandwidth int64, link *os.File) error {
	defer link.Close()
	_, err := c.peer.Call(ctx, verbRoute, routeJob{Hostname: hostname, Bandwidth: bandwidth}, nil, link)
	return err
}

// Host runs wasm modules, each in a worker of its own.
type Host struct {
	Workers *Pool
	Log     *slog.Logger

	loaded  loadedPool
	running sync.WaitGroup
}

var (
	_ sandbox.Host  = (*Host)(nil)
	_ sandbox.Gated = (*Host)(nil)
)

// Name is "wasm".
func (h *Host) Name() string { return "wasm" }

// Close ends the workers that wait, and waits for those that are ending. No
// module runs any more.
func (h *Host) Close() error {
	h.loaded.close()
	err := h.Workers.Close()
	h.running.Wait()
	return err
}

// Check says whether a worker can be confined here: the runtime is part of the
// program.
func (h *Host) Check(context.Context) error { return Check() }

// Start runs spec.Module in a new worker. It takes over spec's files.
func (h *Host) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	return h.StartWhen(ctx, spec, broker, func() error { return nil })
}

// StartWhen is Start for a module that waits, compiled, until ready has returned.
func (h *Host) StartWhen(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker, ready func() error) (sandbox.Instance, error) {
	defer fdwire.CloseAll(spec.Process.Stdio[:])
	client, err := h.workerFor(ctx, spec, broker)
	if err != nil {
		return nil, err
	}
	if _, err := client.peer.Call(ctx, verbModule, moduleJob{Spec: spec}, nil, spec.Process.Stdio[:]...); err != nil {
		return nil, client.explain(err)
	}
	if err := ready(); err != nil {
		client.Close() //nolint:errcheck // nothing of the module has run
		return nil, err
	}
	if err := client.peer.Tell(verbBegin, struct{}{}); err != nil { // now, not when the scheduler comes to it
		return nil, client.explain(err)
	}
	m := &moduleInstance{client: client, done: make(chan struct{})}
	h.running.Go(func() { m.wait(context.WithoutCancel(ctx)) })
	h.loaded.ran(h.Workers, spec)
	return m, nil
}

// workerFor is one that has loaded the module of spec already, or any other.
func (h *Host) workerFor(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (*Client, error) {
	if client, ok := h.loaded.take(spec); ok {
		client.serve(broker)
		return client, nil
	}
	return h.Workers.Get(ctx, broker)
}

// explain ends the worker after a start that failed, and says so if it was the
// worker that went.
func (c *Client) explain(err error) error {
	if ended := c.Close(); c.left && ended != nil {
		return fmt.Errorf("%w: the process that compiles the module has ended (%w); it may have reached its memory limit", err, ended)
	}
	return err
}

type moduleInstance struct {
	client *Client
	done   chan struct{} // closed once exit and err are set: the module is gone, its worker is going
	exit   sandbox.Exit
	err    error
}

// endPause keeps the end of a process out of the way of those who wait for its
// last word.
const endPause = 20 * time.Millisecond

// wait waits for the end of the module, and has its worker end after it.
func (m *moduleInstance) wait(ctx context.Context) {
	_, m.err = m.client.peer.Call(ctx, verbWait, struct{}{}, &m.exit)
	close(m.done)
	if m.err == nil {
		time.Sleep(endPause)
	}
	m.client.Close() //nolint:errcheck // how the process ended matters only when it gave no exit
}

func (m *moduleInstance) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-m.done:
		return m.exit, m.err
	case <-ctx.Done():
		return sandbox.Exit{}, ctx.Err()
	}
}

func (m *moduleInstance) Stop(ctx context.Context) error {
	_, err := m.client.peer.Call(ctx, verbStop, struct{}{}, nil)
	if errors.Is(err, sandbox.ErrUnavailable) {
		return nil // it has gone
	}
	return err
}

func (m *moduleInstance) Signal(ctx context.Context, s sandbox.Signal) error {
	if s == sandbox.SIGKILL {
		return m.client.Close()
	}
	_, err := m.client.peer.Call(ctx, verbSignal, signal{s}, nil)
	return err
}

func (m *moduleInstance) Posture(ctx context.Context) (sandbox.Posture, error) {
	var posture sandbox.Posture
	_, err := m.client.peer.Call(ctx, verbPosture, struct{}{}, &posture)
	return posture, err
}
