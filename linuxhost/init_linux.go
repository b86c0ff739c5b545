package linuxhost

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// sandboxInit is PID 1 of a sandbox. Until setup it has every capability in a
// user namespace of its own and holds the mounts it was passed; after it, it
// has what the image's root has.
type sandboxInit struct {
	mu     sync.Mutex
	files  []*os.File // of setup, that came before it
	ground *builder   // after the ground was laid
	built  bool

	children *children
}

// initMain serves the launcher. It returns when the launcher hangs up, and the
// kernel then kills what is left inside.
func initMain() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is PID %d, not the first process of a sandbox", initName, os.Getpid())
	}
	conn, err := fdwire.FromFile(os.NewFile(wireFD, "launcher"))
	if err != nil {
		return err
	}
	unix.Umask(0o022)
	if err := defaultSignals(); err != nil {
		return err
	}
	// Signals that processes inside send to PID 1 must not end it; caught ones
	// go back to their default in children, ignored ones would not.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored)
	i := &sandboxInit{children: newChildren()}
	go i.children.reap()
	over := make(chan struct{})
	go func() {
		defer close(over)
		//nolint:errcheck // the launcher's hang-up is how a sandbox ends
		wire.New(conn, i.handle).Serve(context.Background())
	}()
	i.children.bear(over)
	return nil
}

func (i *sandboxInit) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	switch verb {
	case verbFiles:
		return wire.Reply{}, i.take(files)
	case verbSetup:
		return i.setup(body, files)
	case verbRun:
		return i.run(body, files)
	case verbPut:
		return wire.Reply{}, i.put(ctx, body, files)
	}
	fdwire.CloseAll(files)
	switch verb {
	case verbGround:
		return wire.Reply{}, i.layGround(body)
	case verbWait:
		return i.wait(ctx, body)
	case verbSignal:
		return wire.Reply{}, i.signal(body)
	}
	return wire.Reply{}, fmt.Errorf("%w: init knows no %q", sandbox.ErrInvalid, verb)
}

// take keeps files for setup; after it nothing is mounted any more.
func (i *sandboxInit) take(files []*os.File) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.built {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: the sandbox is built", sandbox.ErrInvalid)
	}
	i.files = append(i.files, files...)
	return nil
}

// layGround runs the steps that know nothing of the run, once.
func (i *sandboxInit) layGround(body json.RawMessage) error {
	var order groundOrder
	if err := decode(body, &order); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.built || i.ground != nil {
		return fmt.Errorf("%w: the ground is laid", sandbox.ErrInvalid)
	}
	b := &builder{children: i.children, ownInterpreters: order.OwnInterpreters}
	if err := b.do(groundSteps); err != nil {
		return err
	}
	i.ground = b
	learn(setupCall{Mounts: []mountCall{{}}}, setupReply{}, runCall{}, runReply{}, processCall{}, sandbox.Exit{})
	return nil
}

// setup runs the other steps, once.
func (i *sandboxInit) setup(body json.RawMessage, files []*os.File) (wire.Reply, error) {
	if err := i.take(files); err != nil {
		return wire.Reply{}, err
	}
	var call setupCall
	if err := decode(body, &call); err != nil {
		return wire.Reply{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.built || i.ground == nil {
		return wire.Reply{}, fmt.Errorf("%w: the sandbox is built, or has no ground", sandbox.ErrInvalid)
	}
	i.built = true
	i.children.oneID = call.OneID
	b := i.ground
	if err := b.accept(call, i.files); err != nil {
		return wire.Reply{}, err
	}
	if err := b.do(steps); err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Body: setupReply{Landlock: b.landlock}, Files: b.pinnedInOrder()}, nil
}
