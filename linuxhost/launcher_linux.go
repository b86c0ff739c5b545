package linuxhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// launcher is the process that holds the host's rights for one app run.
type launcher struct {
	onMain chan func() // runs on the thread that never ends

	giving  sync.Mutex // held while a folder is given or taken back
	tearing sync.Mutex // held while the run is taken down, so that nobody leaves before it is

	mu       sync.Mutex
	spec     sandbox.Spec
	state    string
	group    *cgroup
	ids      idSpan
	init     *initProcess
	ground   *ground
	landlock int
	hadRoot  bool // a process was started as the image's root
	paused   bool
	maps     []*os.File // of the rules of verdicts, until those are there
	verdicts *verdicts  // nil where no eBPF program stands
	noLSM    string
	consoles map[int]*console // by process number
	spots    map[string]*spot // of folders, by their place inside
	may      chan struct{}    // takes one go of the agent
	ended    chan struct{}    // closed when app's exit is known
	exit     sandbox.Exit
	over     bool // as ended says
}

// launcherMain serves the agent until it hangs up, and takes the sandbox down.
func launcherMain(args []string) error {
	inherited, err := inheritedMaps(args)
	if err != nil {
		return err
	}
	// Whoever started the agent may have left descriptors open across exec.
	if err := unix.CloseRange(wireFD+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what was inherited: %w", err)
	}
	conn, err := fdwire.FromFile(os.NewFile(wireFD, "agent"))
	if err != nil {
		return err
	}
	l := &launcher{
		onMain:   make(chan func()),
		consoles: map[int]*console{},
		spots:    map[string]*spot{},
		may:      make(chan struct{}, 1),
		ended:    make(chan struct{}),
		maps:     inherited,
	}
	peer := wire.New(conn, l.handle)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		//nolint:errcheck // hang-up is how a launcher is ended
		peer.Serve(context.Background())
	}()
	for {
		select {
		case f := <-l.onMain:
			f()
		case <-gone:
			return l.tearDown()
		}
	}
}

// maxRuleMaps bounds the maps that are passed to a launcher.
const maxRuleMaps = 8

// inheritedMaps are the maps of the fence's rules; the first argument counts them.
func inheritedMaps(args []string) ([]*os.File, error) {
	if len(args) == 0 {
		return nil, nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > maxRuleMaps {
		return nil, fmt.Errorf("%w: %q maps of the kernel", sandbox.ErrInvalid, args[0])
	}
	var files []*os.File
	for fd := wireFD + 1; len(files) < n; fd++ {
		files = append(files, os.NewFile(uintptr(fd), "map")) //nolint:gosec // a descriptor
	}
	return files, nil
}

// takeMaps hands them over. mu is held.
func (l *launcher) takeMaps() []*os.File {
	maps := l.maps
	l.maps = nil
	return maps
}

// tearDown leaves nothing of the run: when the app has ended, when the agent
// has gone, after a start that went wrong half-way. A second call waits for the
// first.
func (l *launcher) tearDown() error {
	l.tearing.Lock()
	defer l.tearing.Unlock()
	l.mu.Lock()
	child, group, verdicts := l.init, l.group, l.verdicts
	l.init, l.group, l.verdicts = nil, nil, nil
	if l.ground != nil {
		l.ground.close()
	}
	l.mu.Unlock()
	if child != nil {
		child.kill()
		if group != nil {
			//nolint:errcheck // a kill waits for the thaw of what is paused
			group.thaw()
		}
		<-child.ended
	}
	var errs error
	if group != nil {
		errs = group.remove()
	}
	if verdicts != nil {
		errs = errors.Join(errs, verdicts.close())
	}
	return errs
}

func (l *launcher) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	if verb == verbStart {
		return l.start(ctx, body, files)
	}
	if verb == verbRun {
		return l.run(ctx, body, files)
	}
	if verb == verbPut {
		return wire.Reply{}, l.put(ctx, body, files)
	}
	fdwire.CloseAll(files)
	switch verb {
	case verbGround:
		return wire.Reply{}, l.prepare(ctx, body)
	case verbGo:
		select {
		case l.may <- struct{}{}:
		default: // said twice
		}
		return wire.Reply{}, nil
	case verbWait:
		return l.wait(ctx, body)
	case verbSignal:
		return l.forward(ctx, verb, body)
	case verbResize:
		return wire.Reply{}, l.resize(body)
	case verbPosture:
		posture, err := l.posture()
		return wire.Reply{Body: posture}, err
	case verbKill:
		l.kill()
		return wire.Reply{}, nil
	case verbPause, verbUnpause:
		return wire.Reply{}, l.pause(ctx, verb == verbPause)
	case verbStats:
		stats, err := l.stats()
		return wire.Reply{Body: stats}, err
	case verbPlaceholders:
		return l.placeholders()
	case verbGive:
		return wire.Reply{}, l.give(body)
	case verbTake:
		taken, err := l.take(ctx, body)
		return wire.Reply{Body: taken}, err
	}
	return wire.Reply{}, fmt.Errorf("%w: launcher knows no %q", sandbox.ErrInvalid, verb)
}

func (l *launcher) running() *initProcess {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.init
}

func (l *launcher) start(ctx context.Context, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	var call startCall
	if err := decode(body, &call); err != nil {
		fdwire.CloseAll(files)
		return wire.Reply{}, err
	}
	set, err := call.Attached.detach(4, files)
	if err != nil {
		return wire.Reply{}, err
	}
	link, stdio := set[0], set[1:]
	defer closeSet(stdio)
	if err := l.build(ctx, call, link); err != nil {
		return wire.Reply{}, errors.Join(err, l.tearDown())
	}
	if call.Gated {
		select {
		case <-l.may:
		case <-ctx.Done(): // the agent hung up, or gave up
			return wire.Reply{}, errors.Join(ctx.Err(), l.tearDown())
		}
	}
	reply, err := l.runInside(ctx, call.Spec.Process, stdio)
	if err != nil {
		return wire.Reply{}, errors.Join(err, l.tearDown())
	}
	started := startReply{Cgroup: l.judgedAs()}
	go l.awaitApp(reply)
	return wire.Reply{Body: started}, nil
}

// build makes everything but the app: the ground, mounts, walls.
func (l *launcher) build(ctx context.Context, call startCall, link *os.File) error {
	spec := call.Spec
	spec.Limits = withDefaults(spec.Limits)
	laid, err := l.stand(ctx, call.Ground)
	if err != nil {
		return errors.Join(err, closeIf(link))
	}
	l.mu.Lock()
	span := l.ids
	if spec.Process.User, err = span.user(spec.Process.User); err != nil {
		l.mu.Unlock()
		return errors.Join(err, closeIf(link))
	}
	l.spec, l.noLSM = spec, call.NoLSM
	if l.verdicts != nil {
		l.verdicts.pinTo(spec.Pinned)
	}
	child, group := l.init, l.group
	l.mu.Unlock()
	if child == nil { // it was taken down meanwhile
		return errors.Join(sandbox.ErrUnavailable, closeIf(link))
	}
	var stands around
	var bounded error
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() { // while init is busy
		bounded = errors.Join(laid.connect(link), group.limit(spec.Limits))
		stands = l.lookAround()
	})
	walls, err := l.setUp(ctx, child, span, group.complete(), laid.ids)
	meanwhile.Wait()
	if err := errors.Join(err, bounded); err != nil {
		return err
	}
	l.mu.Lock()
	l.landlock = walls.Landlock
	if l.verdicts != nil {
		err = l.verdicts.seal(child.pid(), l.folders())
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.verify(stands)
}

// folders are the mounts of those that were given at the start. mu is held.
func (l *launcher) folders() []uint64 {
	var ids []uint64
	for _, s := range l.spots {
		if s.given != nil {
			for _, m := range s.given.mounts {
				ids = append(ids, m.ID)
			}
		}
	}
	return ids
}

func closeIf(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// clone runs on the main thread, which lives as long as the launcher.
func (l *launcher) clone(group *cgroup, span idSpan) (child *initProcess, err error) {
	done := make(chan struct{})
	l.onMain <- func() {
		child, err = cloneInit(group, span, os.Stderr)
		close(done)
	}
	<-done
	return child, err
}
