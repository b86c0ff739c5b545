//go:build unix

package wasi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// waker is a pipe whose read end becomes ready for ever at the first signal:
// every poll has it beside the file it waits for.
type waker struct {
	read *os.File

	mu    sync.Mutex
	write *os.File
}

func newWaker() (*waker, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &waker{read: r, write: w}, nil
}

// signal may be called more than once, and after close.
func (w *waker) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write != nil {
		w.write.Close()
		w.write = nil
	}
}

func (w *waker) close() {
	w.signal()
	w.read.Close()
}

// forever is the timeout of a wait without an end.
const forever = -1 * time.Millisecond

// await waits until one of the events of fds is there, and tells which; none
// when the time is over.
func (w *waker) await(fds []unix.PollFd, timeout time.Duration) error {
	all := append([]unix.PollFd{{Fd: int32(w.read.Fd()), Events: unix.POLLIN}}, fds...)
	var end time.Time
	if timeout >= 0 {
		end = time.Now().Add(timeout)
	}
	for {
		_, err := unix.Poll(all, pollMillis(timeout))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		copy(fds, all[1:])
		switch {
		case all[0].Revents != 0:
			return errInterrupted
		case anyReady(fds):
			return nil
		case timeout >= 0:
			if timeout = time.Until(end); timeout <= 0 {
				return nil
			}
		}
	}
}

// sleep waits for d.
func (w *waker) sleep(d time.Duration) error { return w.await(nil, d) }

// pollMillis rounds up, so that nothing wakes early; the last part of a
// millisecond is slept in steps by the loop in await.
func pollMillis(d time.Duration) int {
	const longest = time.Hour
	if d < 0 {
		return -1
	}
	return int((min(d, longest) + time.Millisecond - 1) / time.Millisecond)
}

func anyReady(fds []unix.PollFd) bool {
	for _, f := range fds {
		if f.Revents != 0 {
			return true
		}
	}
	return false
}

// standardStream is a file that may block for ever, like a pipe or a terminal.
type standardStream struct {
	file     *os.File
	fd       int
	terminal bool
	regular  bool // never blocks
}

func newStream(f *os.File, terminal bool) *standardStream {
	s := &standardStream{file: f, fd: -1, terminal: terminal || isCharDevice(f)}
	if f != nil {
		s.fd = int(f.Fd())
		st, err := f.Stat()
		s.regular = err == nil && st.Mode().IsRegular()
	}
	return s
}

// read waits for input if block is set. It never waits inside read(2), where
// nothing could wake it.
func (s *standardStream) read(w *waker, p []byte, block bool) (int, error) {
	if s.file == nil {
		return 0, io.EOF
	}
	for {
		if err := s.ready(w, unix.POLLIN, block); err != nil {
			return 0, err
		}
		n, err := unix.Read(s.fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		}
		return 0, err
	}
}

// pipeChunk can be written to a pipe that polls writable without blocking
// (PIPE_BUF).
const pipeChunk = 4096

func (s *standardStream) write(w *waker, p []byte, block bool) (int, error) {
	if s.file == nil {
		return len(p), nil
	}
	done := 0
	for done < len(p) {
		if err := s.ready(w, unix.POLLOUT, block); err != nil {
			return done, err
		}
		chunk := p[done:]
		if !s.regular {
			chunk = chunk[:min(len(chunk), pipeChunk)]
		}
		n, err := unix.Write(s.fd, chunk)
		done += max(n, 0)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return done, err
		}
	}
	return done, nil
}

func (s *standardStream) ready(w *waker, event int16, block bool) error {
	if s.regular {
		return nil
	}
	timeout := forever
	if !block {
		timeout = 0
	}
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: event}}
	if err := w.await(fds, timeout); err != nil {
		return err
	}
	if fds[0].Revents == 0 {
		return errWouldBlock
	}
	return nil
}

// waitInput waits until s has input or the time is over, and tells which.
func (s *standardStream) waitInput(w *waker, timeout time.Duration) (bool, error) {
	if s.file == nil || s.regular {
		return true, nil
	}
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	err := w.await(fds, timeout)
	return fds[0].Revents != 0, err
}
