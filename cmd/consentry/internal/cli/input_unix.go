//go:build linux || darwin

package cli

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const chunkSize = 16 << 10

// input reads a file in the background and can be stopped while it waits,
// which a plain read of a terminal cannot: what is typed for the shell is not
// stolen. It uses select because poll does not work on terminals of macOS.
type input struct {
	chunks chan []byte // closed at the end of the file
	quit   chan struct{}
	wake   *os.File
	done   chan struct{}
}

func readInput(f *os.File) (*input, error) {
	fd := int(f.Fd())
	sleep, wake, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if fd >= unix.FD_SETSIZE || int(sleep.Fd()) >= unix.FD_SETSIZE {
		return nil, errors.Join(fmt.Errorf("too many open files to read from %s", f.Name()), sleep.Close(), wake.Close())
	}
	in := &input{chunks: make(chan []byte), quit: make(chan struct{}), wake: wake, done: make(chan struct{})}
	go in.read(fd, sleep)
	return in, nil
}

func (in *input) read(fd int, sleep *os.File) {
	defer close(in.done)
	defer close(in.chunks)
	defer sleep.Close() //nolint:errcheck // nothing was written to it
	for {
		buf, err := readReady(fd, int(sleep.Fd()))
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || len(buf) == 0 {
			return
		}
		select {
		case in.chunks <- buf:
		case <-in.quit:
			return
		}
	}
}

// readReady waits for bytes on fd; none and no error is its end, or that of
// the pipe wake, which is never written to.
func readReady(fd, wake int) ([]byte, error) {
	var set unix.FdSet
	set.Set(fd)
	set.Set(wake)
	if _, err := unix.Select(max(fd, wake)+1, &set, nil, nil, nil); err != nil {
		return nil, err
	}
	if set.IsSet(wake) {
		return nil, nil
	}
	buf := make([]byte, chunkSize)
	n, err := unix.Read(fd, buf)
	return buf[:max(n, 0)], err
}

// stop ends the reading and waits for it.
func (in *input) stop() {
	close(in.quit)
	_ = in.wake.Close()
	<-in.done
}
