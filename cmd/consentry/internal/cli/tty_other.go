//go:build !linux && !darwin

package cli

import (
	"os"
	"sync"

	"golang.org/x/term"
)

// terminal is a console whose mode is changed and put back.
type terminal struct {
	f *os.File

	mu    sync.Mutex
	saved *term.State
}

func newTerminal(f *os.File) (*terminal, error) {
	if _, err := term.GetState(int(f.Fd())); err != nil {
		return nil, err
	}
	return &terminal{f: f}, nil
}

// openTerminal opens the console this process belongs to.
func openTerminal() (*os.File, error) { return os.OpenFile("CONIN$", os.O_RDWR, 0) }

// raw hands every key over as it is.
func (t *terminal) raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	state, err := term.MakeRaw(int(t.f.Fd()))
	if err == nil && t.saved == nil {
		t.saved = state
	}
	return err
}

// keysOnly is raw: output is not changed by it here.
func (t *terminal) keysOnly() error { return t.raw() }

// asking gives keys one by one without echo.
func (t *terminal) asking(bool) error { return t.raw() }

// restore puts the console back; it may be called more than once.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved != nil {
		_ = term.Restore(int(t.f.Fd()), t.saved)
		t.saved = nil
	}
}
