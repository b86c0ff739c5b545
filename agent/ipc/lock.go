package ipc

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrLocked says that another agent with the same runtime folder is running.
var ErrLocked = errors.New("another agent is running")

const (
	// EndTime is how long an agent may take to end: it stops its apps first.
	EndTime  = 25 * time.Second
	lockPoll = 20 * time.Millisecond
)

// WaitLock is Lock, but waits for an agent that is ending: one that has closed
// its socket and still holds the lock. One that answers is ErrLocked at once.
func WaitLock(ctx context.Context, p Paths) (io.Closer, error) {
	ctx, cancel := context.WithTimeout(ctx, EndTime)
	defer cancel()
	for {
		lock, err := Lock(p)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		if conn, dialErr := Dial(ctx, p); dialErr == nil {
			return nil, errors.Join(err, conn.Close())
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}
