package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"

	"github.com/consentry/consentry/internal/complaint"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/internal/pool"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

const hostName = "linux"

// Config is what a Host needs.
type Config struct {
	Self     string       // path of the executable to start as launcher
	StateDir string       // the agent's own, 0700; never shared
	Log      *slog.Logger // nil discards
	// FenceSocket is where consentry-bpf answers an agent that is not root; "" is
	// bpfd.SocketPath.
	FenceSocket string
	// Guest is set where the machine is a microVM around one app.
	Guest *Guest
}

// Guest is what the host of a microVM, or guestinit in it, has done already.
type Guest struct {
	// Card becomes the app's network card as it is; its other end is the
	// router's. Without one the app has a loopback only.
	Card string `json:"card,omitempty"`
	// MapsFiles: files bear the ids that apps know, and mounts map them to the
	// app's own, as without a machine around.
	MapsFiles bool `json:"mapsFiles,omitempty"`
	// Folders is where folders of the user's lie that the machine's host serves and
	// judges: their files bear the app's ids, and nobody looks inside here, as to
	// look is to touch.
	Folders string `json:"folders,omitempty"`
	// OwnInterpreters: what others have registered with the kernel to run files
	// of some kind (binfmt_misc) does not hold in the app. It takes Linux 6.7.
	OwnInterpreters bool `json:"ownInterpreters,omitempty"`
}

// Host runs apps natively on Linux.
type Host struct {
	config Config
	fence  fence
	tracer tracer
	ids    sandbox.IDLender // of sandboxes that wait; nil: none does
	pool   pool.Pool[*prepared]

	mu     sync.Mutex
	runs   map[string]*instance // by Spec.ID, until their sandbox is gone
	ending sync.WaitGroup       // those that runs has
}

var (
	_ sandbox.Gated    = (*Host)(nil)
	_ sandbox.Preparer = (*Host)(nil)
)

// New returns a Host. It touches nothing until Check or Start.
func New(config Config) *Host {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{config: config, runs: map[string]*instance{}}
	h.pool = h.newPool()
	return h
}

// Name is "linux".
func (*Host) Name() string { return hostName }

// runID is the form of Spec.ID; it names a cgroup.
var runID = regexp.MustCompile(`^[a-z0-9]{1,64}$`)

// maxIDBase leaves room for a whole range below 2³²-1, which is no id.
const maxIDBase = 1<<32 - 2*idRange

func checkSpec(spec sandbox.Spec, stateDir string) error {
	image := spec.Image
	switch {
	case image == nil || spec.Module != nil:
		return fmt.Errorf("%w: the native Linux host runs OCI images", sandbox.ErrInvalid)
	case !runID.MatchString(spec.ID):
		return fmt.Errorf("%w: run id %q", sandbox.ErrInvalid, spec.ID)
	case len(spec.Process.Args) == 0:
		return fmt.Errorf("%w: the app has no command", sandbox.ErrInvalid)
	case len(image.Lower) == 0:
		return fmt.Errorf("%w: the image has no layer", sandbox.ErrInvalid)
	case image.IDBase < idRange || image.IDBase > maxIDBase:
		return fmt.Errorf("%w: ids from %d are not the app's own", sandbox.ErrInvalid, image.IDBase)
	case (image.Upper == "") != (image.Work == ""):
		return fmt.Errorf("%w: upper and work directory belong together", sandbox.ErrInvalid)
	}
	if err := errors.Join(checkUser(spec.Process.User), sandbox.CheckWaived(spec.Waived)); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := checkMount(m, stateDir); err != nil {
			return err
		}
	}
	for _, a := range spec.Asks {
		if err := checkTarget(a.Target); err != nil {
			return err
		}
	}
	return nil
}

func checkUser(u sandbox.User) error {
	for _, id := range append([]uint32{u.UID, u.GID}, u.Groups...) {
		if id >= idRange {
			return fmt.Errorf("%w: id %d, an app has %d", sandbox.ErrInvalid, id, idRange)
		}
	}
	return nil
}

// Start runs spec and returns once the app runs behind all required walls. It
// owns spec's files. A program that is missing or cannot run is no error: the
// instance's exit says so, as docker's does. The broker is for whoever serves
// the other end of spec.Link: nothing here asks for anything.
func (h *Host) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	return h.StartWhen(ctx, spec, broker, nil)
}

// StartWhen is Start for an app that does not run before ready has returned; the
// sandbox is made meanwhile. A nil ready is none.
func (h *Host) StartWhen(ctx context.Context, spec sandbox.Spec, _ sandbox.Broker, ready func() error) (sandbox.Instance, error) {
	stdio := spec.Process.Stdio
	mask, files := attach(spec.Link, stdio[0], stdio[1], stdio[2])
	defer fdwire.CloseAll(files)
	if err := checkSpec(spec, h.config.StateDir); err != nil {
		return nil, err
	}
	if err := h.awaitGone(ctx, spec.ID); err != nil {
		return nil, err
	}
	raised, noFence := h.fence.get(ctx, h.config)
	defer h.refill()
	call := startCall{Spec: spec, Ground: h.groundOf(spec, raised), NoLSM: lsmText(raised, noFence), Gated: ready != nil, Attached: mask}
	var g *gate
	if ready != nil {
		g = openGate(ready)
		defer g.wait()
	}
	l, started, err := h.launch(ctx, call, raised, g, files)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	i := newInstance(l, spec)
	h.keep(spec.ID, i)
	i.trace = func(ctx context.Context, over <-chan struct{}, see func(sandbox.TraceEvent) error) error {
		return h.trace(ctx, started.Cgroup, over, see)
	}
	i.refusals = func(ctx context.Context, over <-chan struct{}, see func(sandbox.TraceEvent) error) error {
		return h.refusals(ctx, started.Cgroup, over, see)
	}
	return i, nil
}

// awaitGone waits until nothing is left of the run that had this id before: its
// cgroup has the same name, and two overlays may not write to one layer.
func (h *Host) awaitGone(ctx context.Context, id string) error {
	h.mu.Lock()
	before := h.runs[id]
	h.mu.Unlock()
	if before == nil {
		return nil
	}
	select {
	case <-before.over:
	default:
		return fmt.Errorf("%w: run %s has not ended", sandbox.ErrInvalid, id)
	}
	select {
	case <-before.launcher.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep holds i until its sandbox is gone.
func (h *Host) keep(id string, i *instance) {
	h.mu.Lock()
	h.runs[id] = i
	h.mu.Unlock()
	h.ending.Go(func() {
		i.await()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.runs[id] == i {
			delete(h.runs, id)
		}
	})
}

// Settle waits until nothing is left of the apps that have ended: a Wait returns
// before that.
func (h *Host) Settle() {
	h.mu.Lock()
	var ended []*instance
	for _, i := range h.runs {
		select {
		case <-i.over:
			ended = append(ended, i)
		default:
		}
	}
	h.mu.Unlock()
	for _, i := range ended {
		<-i.launcher.gone
	}
}

// launch has a launcher that waits run the app, or else a new one.
func (h *Host) launch(ctx context.Context, call startCall, raised *bpf.Fence, g *gate, files []*os.File) (l *launcherHold, started startReply, err error) {
	if one := h.takeReady(call.Spec.Image.IDBase); one != nil {
		err := one.launcher.start(ctx, call, g, &started, files)
		if err == nil {
			return one.launcher, started, nil
		}
		one.launcher.end()
		h.bury(one)
		if refused := g.refused(); refused != nil {
			return nil, started, refused
		}
		if !errors.Is(err, sandbox.ErrUnavailable) && !errors.Is(err, sandbox.ErrInvalid) {
			return nil, started, err
		}
		h.config.Log.Warn("a sandbox that was ready was of no use", "run", call.Spec.ID, "err", err)
	}
	l, err = h.startLauncher(call.Spec.ID, raised)
	if err != nil {
		return nil, started, err
	}
	if err := l.start(ctx, call, g, &started, files); err != nil {
		l.end()
		if refused := g.refused(); refused != nil {
			err = refused
		}
		return nil, started, err
	}
	return l, started, nil
}

// start has the launcher run the app once g is open; a gate that does not open
// ends the launcher.
func (l *launcherHold) start(ctx context.Context, call startCall, g *gate, started *startReply, files []*os.File) error {
	if g != nil {
		over := make(chan struct{})
		var watch sync.WaitGroup
		defer watch.Wait()
		defer close(over)
		watch.Go(func() { l.openWhen(g, over) })
	}
	_, err := l.peer.Call(ctx, verbStart, call, started, files...)
	return err
}

// openWhen says go when g is open; without a yes it hangs up.
func (l *launcherHold) openWhen(g *gate, over <-chan struct{}) {
	select {
	case <-g.done:
	case <-over:
		return
	}
	if g.refused() != nil || l.peer.Tell(verbGo, struct{}{}) != nil {
		l.peer.Close()
	}
}

func (h *Host) groundOf(spec sandbox.Spec, raised *bpf.Fence) groundCall {
	return groundCall{
		Name: spec.ID, StateDir: h.config.StateDir, IDBase: spec.Image.IDBase, Fence: h.fenceCall(raised),
		Waived: spec.Waived, Guest: h.config.Guest,
	}
}

// launcherHold is the agent's hold on a launcher process.
type launcherHold struct {
	cmd  *exec.Cmd
	peer *wire.Peer
	gone chan struct{} // closed when the process has ended
}

// startLauncher passes the maps of the fence's rules, if there is one, after the
// wire.
func (h *Host) startLauncher(id string, raised *bpf.Fence) (*launcherHold, error) {
	var maps []*os.File
	if raised != nil {
		var err error
		if maps, err = raised.Maps.RuleFiles(); err != nil {
			return nil, err
		}
	}
	defer fdwire.CloseAll(maps)
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(h.config.Self, launcherName, strconv.Itoa(len(maps)))
	cmd.Args[0] = selfName
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.Dir = "/"
	cmd.ExtraFiles = append([]*os.File{theirs}, maps...)
	cmd.Stderr = complaint.Writer{Log: h.config.Log, Who: "launcher", Run: id}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C at the agent's terminal is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("launcher: %w", err), conn.Close())
	}
	l := &launcherHold{cmd: cmd, peer: wire.New(conn, nil), gone: make(chan struct{})}
	go func() {
		defer close(l.gone)
		//nolint:errcheck // its end is what counts
		l.peer.Serve(context.Background())
		if err := cmd.Wait(); err != nil {
			h.config.Log.Warn("launcher ended", "run", id, "err", err)
		}
	}()
	return l, nil
}

// end hangs up, which makes the launcher take the sandbox down, and waits.
func (l *launcherHold) end() {
	l.peer.Close()
	<-l.gone
}
