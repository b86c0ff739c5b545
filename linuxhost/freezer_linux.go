package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// freezer holds all processes of a cgroup, init included, where they are.
type freezer struct {
	file        string // is written
	on, off     string
	state       string // is read …
	frozenState string // … and has this line when all are held
}

// freezer of g: the v1 controller, or what every v2 cgroup has by itself.
func (g *cgroup) freezer() (freezer, error) {
	if dir, v2, found := g.dir("freezer"); found && !v2 {
		file := filepath.Join(dir, "freezer.state")
		return freezer{file, "FROZEN", "THAWED", file, "FROZEN"}, nil
	}
	for _, h := range g.trees {
		file := filepath.Join(h.at(g.path), "cgroup.freeze")
		if h.v2 && exists(file) {
			return freezer{file, "1", "0", filepath.Join(filepath.Dir(file), "cgroup.events"), "frozen 1"}, nil
		}
	}
	return freezer{}, fmt.Errorf("%w: no cgroup freezer: mount cgroup2, or cgroup v1 with the freezer", sandbox.ErrNotSupported)
}

func (f freezer) frozen() (bool, error) {
	raw, err := os.ReadFile(f.state)
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Split(strings.TrimSpace(string(raw)), "\n"), f.frozenState), nil
}

const freezePause = 2 * time.Millisecond

// freeze returns when everything is held; what cannot be is let go again.
func (f freezer) freeze(ctx context.Context) error {
	if err := writeFile(f.file, f.on); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	for {
		frozen, err := f.frozen()
		if frozen {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("freeze: %w", err), f.thaw())
		}
		time.Sleep(freezePause)
	}
}

func (f freezer) thaw() error {
	if err := writeFile(f.file, f.off); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}

// thaw lets go of what a pause holds, so that a kill can end it.
func (g *cgroup) thaw() error {
	f, err := g.freezer()
	if err != nil {
		return nil //nolint:nilerr // then nothing was frozen
	}
	return f.thaw()
}

// errPaused is what a paused app answers to all but stop, kill and unpause.
var errPaused = fmt.Errorf("%w: the app is paused; consentry unpause lets it go on", sandbox.ErrInvalid)

func (l *launcher) pause(ctx context.Context, on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil || l.over || l.group == nil {
		return errOver
	}
	f, err := l.group.freezer()
	if err != nil {
		return err
	}
	if on {
		err = f.freeze(ctx)
	} else {
		err = f.thaw()
	}
	if err == nil {
		l.paused = on
	}
	return err
}

// kill ends the sandbox, also a paused one: SIGKILL waits until the thaw.
func (l *launcher) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil {
		return
	}
	l.init.kill()
	if l.paused && l.group != nil {
		//nolint:errcheck // the teardown tries again
		l.group.thaw()
		l.paused = false
	}
}
