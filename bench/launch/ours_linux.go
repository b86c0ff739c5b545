package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

const firstIDs = 0x20000000

// counter lends every block of ids once.
type counter struct{ next atomic.Uint32 }

func (c *counter) Lend() (uint32, error) { return firstIDs + c.next.Add(1)<<16, nil }

func (*counter) Return(uint32) {}

// ours is our host, as an agent has it.
type ours struct {
	host  *linuxhost.Host
	root  string
	ready bool
	runs  int

	// An app's network card goes over the one to the worker that has the other.
	link, worker *os.File
}

// newOurs starts by the program at path: from a sandbox that waits, as the second
// start of an agent is, or anew, as its first.
func newOurs(state, root, path string, ready bool) (*ours, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	o := &ours{host: linuxhost.New(linuxhost.Config{Self: path, StateDir: state}), root: root}
	if err := o.host.Check(context.Background()); err != nil {
		return nil, errors.Join(err, o.host.Close())
	}
	if ready {
		o.host.KeepReady(&counter{})
		if err := o.run(true); err != nil {
			return nil, errors.Join(err, o.host.Close())
		}
	}
	o.ready = ready
	return o, nil
}

func (o *ours) end() {
	o.hangUp()
	if err := o.host.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
	}
}

func (o *ours) hangUp() {
	for _, f := range []*os.File{o.link, o.worker} {
		if f != nil {
			f.Close()
		}
	}
	o.link, o.worker = nil, nil
}

const readyTime = 10 * time.Second

// wait returns when nothing of the last run is left, and the next can begin.
func (o *ours) wait() (err error) {
	o.host.Settle()
	o.hangUp()
	for began := time.Now(); o.ready && len(o.host.Ready()) < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > readyTime {
			return errors.New("no sandbox is made ready")
		}
	}
	o.worker, o.link, err = fdwire.SocketPair()
	return err
}

func (o *ours) spec(args ...string) sandbox.Spec {
	o.runs++
	base := uint32(firstIDs)
	if waiting := o.host.Ready(); len(waiting) > 0 {
		base = waiting[0]
	}
	return sandbox.Spec{
		ID: fmt.Sprintf("bench%d", o.runs), Name: args[0], Hostname: "bench",
		Process: sandbox.Process{Args: args, Env: []string{"PATH=/bin"}},
		Image:   &sandbox.Image{Lower: []string{o.root}, IDBase: base},
		Waived:  []string{sandbox.WaiveLSM},
		Link:    o.link,
	}
}

// run returns when true has ended or, to settle, when nothing of it is left.
func (o *ours) run(settle bool) error { return o.start(o.spec("/bin/true"), settle) }

func (o *ours) start(spec sandbox.Spec, settle bool) error {
	ctx := context.Background()
	app, err := o.host.Start(ctx, spec, nil)
	if err != nil {
		return err
	}
	exit, err := app.Wait(ctx)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit %+v", exit)
	}
	if settle {
		o.host.Settle()
	}
	return err
}
