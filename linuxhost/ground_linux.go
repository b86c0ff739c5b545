package linuxhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// ground is what a sandbox stands on: a cgroup, init in its namespaces with the
// kernel's file systems made ready, a network card. It knows nothing of a run
// but the ids, so it can be laid before one is asked for. Nothing of an app was
// ever in it.
type ground struct {
	call groundCall
	tap  *os.File // nil once it was handed over, and in a guest
	ids  *os.File // init's user namespace; nil where mounts cannot have mapped ids
}

func (g *ground) close() {
	closeSet([]*os.File{g.tap, g.ids})
	g.tap, g.ids = nil, nil
}

// errOtherGround is the answer to a start on a ground that was laid otherwise.
var errOtherGround = fmt.Errorf("%w: the sandbox was prepared for another kind of run", sandbox.ErrInvalid)

// fits says whether a run may stand on g. The name of the cgroup means nothing.
func (g *ground) fits(call groundCall) bool {
	had := g.call
	return had.StateDir == call.StateDir && had.IDBase == call.IDBase && had.Fence == call.Fence &&
		!slices.Contains(call.Waived, sandbox.WaiveCgroup)
}

// prepare lays the ground for a run that nobody has asked for yet.
func (l *launcher) prepare(ctx context.Context, body json.RawMessage) error {
	var call groundCall
	if err := decode(body, &call); err != nil {
		return err
	}
	if err := l.lay(ctx, call); err != nil {
		return errors.Join(err, l.tearDown())
	}
	//nolint:errcheck // a rehearsal: the walls do not stand yet
	l.verify(l.lookAround())
	learn(startCall{
		Spec:     sandbox.Spec{Image: &sandbox.Image{}, Mounts: []sandbox.Mount{{}}},
		Ground:   call,
		Attached: attached{false},
	}, setupCall{Mounts: []mountCall{{}}}, setupReply{}, runCall{}, runReply{}, processCall{}, sandbox.Exit{})
	return nil
}

// learn has package json get to know messages: the first of a kind takes longer
// than the next, and here nobody waits for it.
func learn(messages ...any) {
	for _, m := range messages {
		if raw, err := json.Marshal(m); err == nil {
			//nolint:errcheck // nothing is done with it
			json.Unmarshal(raw, reflect.New(reflect.TypeOf(m)).Interface())
		}
	}
}

// lay makes everything that needs no run.
func (l *launcher) lay(ctx context.Context, call groundCall) error {
	l.mu.Lock()
	twice := l.ground != nil
	l.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: the ground is laid", sandbox.ErrInvalid)
	}
	span, err := spanOf(call.IDBase)
	if err != nil {
		return err
	}
	if call.Guest != nil {
		span.asIs, span.served = !call.Guest.MapsFiles, call.Guest.Folders
	}
	group, err := newCgroup(call)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.group, l.state, l.ids = group, call.StateDir, span
	if call.Fence.Judged {
		l.verdicts, err = openVerdicts(call.Fence, l.takeMaps(), group)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	child, err := l.clone(group, span)
	if err != nil {
		return err
	}
	laid := &ground{call: call}
	l.mu.Lock()
	l.init, l.ground = child, laid
	l.mu.Unlock()
	if span.mapsFiles() {
		if laid.ids, err = child.idsFile(); err != nil {
			return err
		}
	}
	if call.Guest != nil {
		err = takeCard(call.Guest.Card, child.pid())
	} else {
		laid.tap, err = makeNetwork(child.pid())
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.verdicts != nil {
		err = l.verdicts.recognize(child.pid())
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = child.peer.Call(ctx, verbGround, groundOrder{OwnInterpreters: call.Guest != nil && call.Guest.OwnInterpreters}, nil)
	return err
}

// stand returns the ground for call: the one that waits, or a new one.
func (l *launcher) stand(ctx context.Context, call groundCall) (*ground, error) {
	l.mu.Lock()
	laid, child := l.ground, l.init
	l.mu.Unlock()
	if laid == nil {
		err := l.lay(ctx, call)
		return l.ground, err
	}
	if child == nil || child.dead() {
		return nil, fmt.Errorf("%w: the sandbox ended while it waited", sandbox.ErrUnavailable)
	}
	if !laid.fits(call) {
		return nil, errOtherGround
	}
	return laid, nil
}

// connect hands the network card over. Without a link the app has a loopback
// only.
func (g *ground) connect(link *os.File) error {
	tap := g.tap
	g.tap = nil
	if tap == nil { // in a guest it is the host that has the other end
		return closeIf(link)
	}
	defer tap.Close()
	if link == nil {
		return nil
	}
	conn, err := fdwire.FromFile(link)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	err = conn.Send(struct{}{}, tap)
	return errors.Join(err, conn.Close())
}
