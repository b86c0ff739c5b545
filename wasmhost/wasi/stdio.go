package wasi

import (
	"errors"
	"os"
)

// Stdio are the standard streams. A nil file reads as empty and swallows what
// is written.
type Stdio struct {
	Files [3]*os.File
	// Terminal makes the guest see a terminal; its errors go to Files[1].
	Terminal bool
}

// Close closes the files.
func (s Stdio) Close() {
	for _, f := range s.Files {
		if f != nil {
			f.Close()
		}
	}
}

func (s Stdio) descriptors() [3]*descriptor {
	files := s.Files
	if s.Terminal {
		files[2] = files[1]
	}
	var out [3]*descriptor
	for i, f := range files {
		rights := uint64(streamRights &^ rightWrite)
		if i > 0 {
			rights = streamRights &^ rightRead
		}
		out[i] = &descriptor{kind: stream, stream: newStream(f, s.Terminal), rights: rights}
	}
	return out
}

// isCharDevice tells whether the guest should see a terminal.
func isCharDevice(f *os.File) bool {
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

var (
	errInterrupted = errors.New("interrupted")
	errWouldBlock  = errors.New("would block")
)
