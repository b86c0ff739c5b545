package agent

import "os"

// stdFiles are the pipes between an app's standard files and the agent.
type stdFiles struct {
	app   [3]*os.File // the app's ends
	stdin *os.File    // our end of its stdin; nil when it has none
}

// open makes them. Output goes to the pipes of out; without stdin the app reads
// an end of file at once.
func (s *stdFiles) open(out func(stream string) (*os.File, error), stdin bool) (err error) {
	if stdin {
		s.app[0], s.stdin, err = os.Pipe()
	} else {
		s.app[0], err = os.Open(os.DevNull)
	}
	if err != nil {
		return err
	}
	if s.app[1], err = out(streamOut); err != nil {
		return err
	}
	s.app[2], err = out(streamErr)
	return err
}

// The names of the output streams, in logs.
const (
	streamOut = "stdout"
	streamErr = "stderr"
)

// give hands the app's ends to whoever takes them over.
func (s *stdFiles) give() [3]*os.File {
	ends := s.app
	s.app = [3]*os.File{}
	return ends
}

// close gives up what was not given away.
func (s *stdFiles) close() {
	for _, f := range append(s.app[:], s.stdin) {
		if f != nil {
			f.Close()
		}
	}
}
