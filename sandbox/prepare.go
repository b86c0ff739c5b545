package sandbox

import "context"

// IDLender lends blocks of host ids that no run has.
type IDLender interface {
	Lend() (base uint32, err error)
	Return(base uint32) // to nobody, or to the run that has it now
}

// Gated is a Host that makes a sandbox while what has to come before the app is
// still under way.
type Gated interface {
	// StartWhen is Start for an app whose first instruction waits for ready. It is
	// called once, while the sandbox is made or after, or not at all; its error ends
	// the start.
	StartWhen(ctx context.Context, spec Spec, broker Broker, ready func() error) (Instance, error)
}

// Preparer is a Host that can make parts of a sandbox ready before it is asked
// for. A Start with the ids of one that waits is quicker; any other Start is as
// it was.
type Preparer interface {
	// KeepReady lets the host borrow ids for sandboxes that wait.
	KeepReady(IDLender)
	// Ready are the ids for which one waits now.
	Ready() []uint32
}
