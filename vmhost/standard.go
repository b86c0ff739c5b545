package vmhost

import (
	"io"
	"os"
	"sync"

	"github.com/consentry/consentry/guestwire"
)

// standard are the standard files of a process, on the host's side.
type standard struct {
	mu      sync.Mutex
	files   [3]*os.File // nil once a stream has them, and where there is none
	streams [3]guestwire.Stream
	outputs sync.WaitGroup
}

func newStandard(files [3]*os.File) *standard { return &standard{files: files} }

// there says which files there are.
func (s *standard) there() (streams guestwire.Streams) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, f := range s.files {
		streams[n] = f != nil
	}
	return streams
}

// carry copies between a file and its stream, until either ends.
func (s *standard) carry(n int, stream guestwire.Stream) {
	s.mu.Lock()
	f := s.files[n]
	s.files[n], s.streams[n] = nil, stream
	s.mu.Unlock()
	if n == 0 {
		go feed(stream, f)
		return
	}
	s.outputs.Go(func() {
		defer stream.Close()
		defer f.Close()
		io.Copy(f, stream) //nolint:errcheck // a reader that has gone is the process's loss
	})
}

// feed sends the input and its end. It ends with the input, or at the first
// write after the process has gone.
func feed(stream guestwire.Stream, from *os.File) {
	defer from.Close()
	io.Copy(stream, from) //nolint:errcheck // either end may go first
	stream.CloseWrite()   //nolint:errcheck // as above
}

// settle is called when the process has ended: it waits for output that is under
// way. What another process still writes goes on.
func (s *standard) settle(drained bool) {
	if drained {
		s.outputs.Wait()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[0] != nil {
		s.streams[0].Close()
	}
}

// wait returns when no output can come any more.
func (s *standard) wait() { s.outputs.Wait() }

// close gives up what was not given to a stream, and the streams.
func (s *standard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.files {
		if s.files[n] != nil {
			s.files[n].Close()
			s.files[n] = nil
		}
		if s.streams[n] != nil {
			s.streams[n].Close()
		}
	}
}
