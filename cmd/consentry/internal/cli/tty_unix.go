//go:build linux || darwin

package cli

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// terminal is a tty whose mode is changed and put back.
type terminal struct {
	f     *os.File
	saved unix.Termios

	mu      sync.Mutex
	changed bool
}

func newTerminal(f *os.File) (*terminal, error) {
	saved, err := unix.IoctlGetTermios(int(f.Fd()), ioctlGetMode)
	if err != nil {
		return nil, err
	}
	return &terminal{f: f, saved: *saved}, nil
}

// openTerminal opens the terminal this process belongs to, if it has one and
// is in its foreground: a read from the background would stop the process.
func openTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	if err == nil && group != unix.Getpgrp() {
		err = errors.New("this process is in the background of its terminal")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// raw hands every key and all output over as it is: the app's own terminal
// interprets them.
func (t *terminal) raw() error {
	m := t.rawKeys()
	m.Oflag &^= unix.OPOST
	return t.set(ioctlSetMode, m)
}

// keysOnly is raw for keys. Until the app runs what is written is ours, and the
// terminal goes on to make lines of it.
func (t *terminal) keysOnly() error { return t.set(ioctlSetMode, t.rawKeys()) }

func (t *terminal) rawKeys() unix.Termios {
	m := t.saved
	m.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Cflag &^= unix.CSIZE | unix.PARENB
	m.Cflag |= unix.CS8
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	return m
}

// asking gives keys one by one without echo and throws away what was typed
// before; Ctrl-C stays a signal unless the app has the keyboard.
func (t *terminal) asking(appHasKeys bool) error {
	m := t.saved
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.IEXTEN
	if appHasKeys {
		m.Lflag &^= unix.ISIG
	}
	m.Iflag &^= unix.IXON
	m.Oflag |= unix.OPOST | unix.ONLCR
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	return t.set(ioctlSetModeFlush, m)
}

func (t *terminal) set(request uint, m unix.Termios) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = true
	return t.apply(request, &m)
}

// apply tries again when a signal, of the Go scheduler's too, comes while the
// terminal's output drains.
func (t *terminal) apply(request uint, m *unix.Termios) error {
	for {
		if err := unix.IoctlSetTermios(int(t.f.Fd()), request, m); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// restore puts the terminal back; it may be called more than once.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed {
		t.changed = false
		_ = t.apply(ioctlSetMode, &t.saved)
	}
}
