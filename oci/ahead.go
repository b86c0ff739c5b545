package oci

import (
	"io"
	"sync"
)

// Bounds on what one stage of a pull may be ahead of the next.
const (
	firstChunk  = 16 << 10 // bytes; most layers of many-layered images are small
	aheadChunk  = 256 << 10
	aheadChunks = 4
)

// ahead reads a stream in a goroutine of its own, a bounded way ahead of its
// reader, so that the stages of a pull (download and hash, inflate, hash,
// write) run beside each other.
type ahead struct {
	full chan chunk  // read, in order; closed behind the last
	free chan []byte // to be read into
	quit chan struct{}
	done sync.WaitGroup
	now  chunk // what Read hands out
	rest []byte
}

// chunk is a part of the stream, and the error that came with it.
type chunk struct {
	data []byte
	err  error
}

// readAhead begins to read r. close must follow; r must not be used before.
func readAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan chunk, aheadChunks), free: make(chan []byte, aheadChunks), quit: make(chan struct{})}
	a.done.Go(func() { a.fill(r) })
	return a
}

func (a *ahead) fill(r io.Reader) {
	defer close(a.full)
	for made := 0; ; {
		buf := a.buffer(&made)
		if buf == nil {
			return
		}
		n, err := readSome(r, buf)
		a.full <- chunk{buf[:n], err} // has room for every buffer
		if err != nil {
			return
		}
	}
}

// buffer waits for one to read into, or makes it; nil when close was called.
func (a *ahead) buffer(made *int) []byte {
	if *made < aheadChunks && len(a.free) == 0 {
		*made++
		if *made == 1 {
			return make([]byte, firstChunk)
		}
		return make([]byte, aheadChunk)
	}
	select {
	case <-a.quit:
		return nil
	case buf := <-a.free:
		return buf
	}
}

// readSome fills buf unless the stream ends or fails.
func readSome(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = r.Read(buf[n:])
		n += got
	}
	return n, err
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		a.next()
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// next hands the chunk that was read back and takes another.
func (a *ahead) next() {
	if a.now.data != nil {
		a.free <- a.now.data[:cap(a.now.data)]
	}
	c, ok := <-a.full
	if !ok {
		c.err = io.ErrClosedPipe
	}
	a.now, a.rest = c, c.data
}

// WriteTo spares a copy where the reader takes what it gets.
func (a *ahead) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(a.rest)
		total += int64(n)
		a.rest = a.rest[n:]
		switch {
		case err != nil:
			return total, err
		case a.now.err == io.EOF: //nolint:errorlint // as io.Copy
			return total, nil
		case a.now.err != nil:
			return total, a.now.err
		}
		a.next()
	}
}

// close ends the reading and waits for it. A read under way must come to its
// end by itself: cancel what it waits for first.
func (a *ahead) close() {
	close(a.quit)
	a.done.Wait()
}
