package guestinit

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// process is one that the host started.
type process struct {
	running sandbox.Running

	mu    sync.Mutex
	files [3]*os.File // our ends; nil once a stream has them
	sent  [3]chan struct{}
}

// appProcess makes an instance look like the process it began with.
type appProcess struct{ sandbox.Instance }

func (a appProcess) Signal(ctx context.Context, n sandbox.Signal) error {
	return a.Instance.(sandbox.Signaler).Signal(ctx, n)
}

func (a appProcess) Resize(ctx context.Context, size sandbox.WindowSize) error {
	return a.Instance.(sandbox.Resizer).Resize(ctx, size)
}

// newProcess makes the pipes of the standard files that there are. The other
// ends are for whoever starts the process, who takes them over.
func newProcess(streams guestwire.Streams) (p *process, theirs [3]*os.File, err error) {
	p = &process{}
	for i, there := range streams {
		if !there {
			continue
		}
		if err := p.pipe(i, &theirs); err != nil {
			p.close()
			for _, f := range theirs {
				if f != nil {
					f.Close()
				}
			}
			return nil, theirs, fmt.Errorf("standard files: %w", err)
		}
	}
	return p, theirs, nil
}

// pipe makes one. Its other end blocks, as programs expect of their files: Go
// makes pipes that do not.
func (p *process) pipe(n int, theirs *[3]*os.File) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if n == 0 {
		p.files[n], theirs[n] = w, r
	} else {
		p.files[n], theirs[n] = r, w
		p.sent[n] = make(chan struct{})
	}
	return unix.SetNonblock(int(theirs[n].Fd()), false)
}

func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.files {
		if f != nil {
			f.Close()
			p.files[i] = nil
		}
	}
}

// take gives a file to the one stream that carries it.
func (p *process) take(n int) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[n]
	p.files[n] = nil
	if f == nil {
		return nil, fmt.Errorf("%w: standard file %d is not there, or taken", sandbox.ErrInvalid, n)
	}
	return f, nil
}

// feed passes on what the host sends, and its end.
func (p *process) feed(to *os.File, from guestwire.Stream) error {
	defer to.Close()
	_, err := io.Copy(to, from)
	return err
}

// drain sends what the process writes. A host that closes its end closes the
// pipe: the process's next write fails, as in any pipeline.
func (p *process) drain(n int, from *os.File, to guestwire.Stream) {
	defer close(p.sent[n])
	defer from.Close()
	left := make(chan struct{})
	go func() {
		defer close(left)
		io.Copy(io.Discard, to) //nolint:errcheck // any end is the end
		from.Close()
	}()
	io.Copy(to, from) //nolint:errcheck // either end may go first
	to.Close()
	<-left
}

// lingers is how long output may still come after a process has ended while
// another holds its pipes open.
const lingers = 300 * time.Millisecond

// drained says whether all output was sent. Of the app it comes to an end by
// itself, as nothing of it runs any more.
func (p *process) drained(ctx context.Context, isApp bool) bool {
	if !isApp {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lingers)
		defer cancel()
	}
	for _, sent := range p.sent {
		if sent == nil {
			continue
		}
		select {
		case <-sent:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
