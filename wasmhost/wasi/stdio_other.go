//go:build !unix

package wasi

import (
	"io"
	"os"
	"sync"
	"time"
)

// waker ends waits by closing a channel.
type waker struct {
	once sync.Once
	done chan struct{}
}

func newWaker() (*waker, error) { return &waker{done: make(chan struct{})}, nil }

// signal may be called more than once, and after close.
func (w *waker) signal() { w.once.Do(func() { close(w.done) }) }

func (w *waker) close() { w.signal() }

// forever is the timeout of a wait without an end.
const forever = -1 * time.Millisecond

// sleep waits for d.
func (w *waker) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-w.done:
		return errInterrupted
	}
}

// standardStream reads and writes on goroutines of its own, as a blocked call
// cannot be taken back here. The goroutine of a blocked call ends when the
// file is closed or the other side moves.
type standardStream struct {
	file     *os.File
	terminal bool

	asked   bool        // a read is under way
	arrived chan []byte // what it read; closed at the end
	left    []byte      // read, and not yet taken
	ended   bool
}

const readChunk = 32 << 10

func newStream(f *os.File, terminal bool) *standardStream {
	return &standardStream{file: f, terminal: terminal || isCharDevice(f), arrived: make(chan []byte, 1)}
}

func (s *standardStream) ask() {
	if s.asked {
		return
	}
	s.asked = true
	go func() {
		buf := make([]byte, readChunk)
		n, _ := s.file.Read(buf)
		s.arrived <- buf[:max(n, 0)]
	}()
}

func (s *standardStream) read(w *waker, p []byte, block bool) (int, error) {
	timeout := forever
	if !block {
		timeout = 0
	}
	ready, err := s.waitInput(w, timeout)
	switch {
	case err != nil:
		return 0, err
	case !ready:
		return 0, errWouldBlock
	case len(s.left) == 0:
		return 0, io.EOF
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// waitInput waits until s has input or the time is over, and tells which.
func (s *standardStream) waitInput(w *waker, timeout time.Duration) (bool, error) {
	if s.file == nil || s.ended || len(s.left) > 0 {
		return true, nil
	}
	s.ask()
	var over <-chan time.Time
	if timeout >= 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case s.left = <-s.arrived:
		s.asked, s.ended = false, len(s.left) == 0
		return true, nil
	case <-over:
		return false, nil
	case <-w.done:
		return false, errInterrupted
	}
}

func (s *standardStream) write(w *waker, p []byte, _ bool) (int, error) {
	if s.file == nil {
		return len(p), nil
	}
	type result struct {
		n   int
		err error
	}
	written := make(chan result, 1)
	text := append([]byte(nil), p...)
	go func() {
		n, err := s.file.Write(text)
		written <- result{n, err}
	}()
	select {
	case r := <-written:
		return r.n, r.err
	case <-w.done:
		return 0, errInterrupted
	}
}
