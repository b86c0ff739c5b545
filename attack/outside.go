package attack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Outside is what the attacks aim at on this machine, and can be seen from here
// to have been reached: files, folders that the app is given, programs that serve.
type Outside struct {
	Shared string // given to read; a program of the host serves in it
	Own    string // given to write
	Module string // given to a module to write, at /d; holds links that lead out

	secret   string
	socket   net.Listener
	abstract string // name of a socket without a file; "" where there are none
	reached  chan string
	closing  chan struct{}
	close    func() error
}

const (
	secretText = "of the host"
	sharedText = "to be read"
)

// NewOutside lays everything out below dir.
func NewOutside(dir string) (*Outside, error) {
	o := &Outside{
		Shared: filepath.Join(dir, "shared"), Own: filepath.Join(dir, "own"), Module: filepath.Join(dir, "module"),
		secret: filepath.Join(dir, "outside", "secret"), reached: make(chan string, 100), closing: make(chan struct{}),
	}
	if err := o.files(); err != nil {
		return nil, err
	}
	var work sync.WaitGroup
	work.Go(o.moveOut)
	var listeners []net.Listener
	o.close = sync.OnceValue(func() error {
		close(o.closing)
		var errs error
		for _, l := range listeners {
			errs = errors.Join(errs, l.Close())
		}
		work.Wait()
		return errs
	})
	served := filepath.Join(o.Shared, "served.sock")
	addresses := []string{filepath.Join(dir, "agent.sock"), served}
	if runtime.GOOS == "linux" {
		o.abstract = fmt.Sprintf("attack-%d", os.Getpid())
		addresses = append(addresses, "@"+o.abstract)
	}
	for _, address := range addresses {
		l, err := net.Listen("unix", address)
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		listeners = append(listeners, l)
		work.Go(func() { o.serve(l) })
	}
	o.socket = listeners[0]
	if err := os.Chmod(served, 0o777); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// files makes the folders and what is in them, open to every user: what keeps
// the app out must be a wall.
func (o *Outside) files() error {
	var errs error
	for _, folder := range []string{filepath.Dir(o.secret), o.Shared, o.Own, o.Module, filepath.Join(o.Module, "dir")} {
		errs = errors.Join(errs, os.MkdirAll(folder, 0o755))
	}
	readable := filepath.Join(o.Shared, "file")
	return errors.Join(errs,
		os.WriteFile(o.secret, []byte(secretText), 0o644),
		os.WriteFile(readable, []byte(sharedText), 0o666), os.Chmod(readable, 0o666),
		os.WriteFile(filepath.Join(o.Module, "file"), []byte("own"), 0o600),
		os.Symlink(filepath.Join("..", "outside"), filepath.Join(o.Module, "out")),
		os.Symlink(o.secret, filepath.Join(o.Module, "abs")))
}

func (o *Outside) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case o.reached <- l.Addr().String():
		default: // it was seen to be reached
		}
		//nolint:errcheck // nothing was said
		c.Close()
	}
}

// moveOut moves a directory that an app has made ready out of the app's folder.
func (o *Outside) moveOut() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-o.closing:
			return
		case <-tick.C:
		}
		climb := filepath.Join(o.Own, "climb")
		if _, err := os.Stat(filepath.Join(climb, "ready")); err == nil {
			//nolint:errcheck // the app sees whether it was moved
			os.Rename(climb, o.Own+"-climb")
		}
	}
}

// Targets are the probe program's arguments; pid is a process outside.
func (o *Outside) Targets(pid int) []string {
	return []string{fmt.Sprintf("pid=%d", pid), "file=" + o.secret, "socket=" + o.socket.Addr().String(), "abstract=" + o.abstract, "disk=vda"}
}

// Touched says what was reached or changed since the last time; nil: nothing.
func (o *Outside) Touched() error {
	var errs error
	for len(o.reached) > 0 {
		errs = errors.Join(errs, fmt.Errorf("%s of this machine was reached", <-o.reached))
	}
	for path, want := range map[string]string{o.secret: secretText, filepath.Join(o.Shared, "file"): sharedText} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			errs = errors.Join(errs, fmt.Errorf("%s of this machine holds %q", path, text), err)
		}
	}
	for folder, want := range map[string]string{filepath.Dir(o.secret): "secret", o.Shared: "file served.sock"} {
		list, err := os.ReadDir(folder)
		var names []string
		for _, entry := range list {
			names = append(names, entry.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			errs = errors.Join(errs, fmt.Errorf("%s of this machine has %q", folder, got), err)
		}
	}
	return errs
}

// Close ends what serves.
func (o *Outside) Close() error { return o.close() }
