package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/sandbox"
)

// execRun runs another process behind the walls of a running app.
func (a *Agent) execRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	var req api.ExecRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l == nil {
		return notRunning(rec.Name)
	}
	execer, can := l.instance.(sandbox.Execer)
	if !can {
		return &api.Error{Code: "not-supported", Message: "a WebAssembly module has no processes to add to", Status: http.StatusNotImplemented}
	}
	process, err := a.execProcess(rec, req)
	if err != nil {
		return err
	}
	s, err := upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	err = a.exec(l, execer, process, req.Stdin, s)
	if errors.Is(err, sandbox.ErrEnded) {
		err = notRunning(rec.Name)
	}
	if err != nil {
		s.fail(err)
	}
	return nil
}

// execProcess takes what the app itself has where the request says nothing.
func (a *Agent) execProcess(rec record, req api.ExecRequest) (sandbox.Process, error) {
	if len(req.Args) == 0 {
		return sandbox.Process{}, invalid("exec: no command; for example: consentry exec -it %s sh", rec.Name)
	}
	p := rec.Spec.Process
	p.Args, p.Terminal, p.Size = req.Args, req.Terminal, req.Size
	p.Env = mergeEnv(p.Env, req.Env)
	if req.WorkDir != "" {
		p.Dir = req.WorkDir
	}
	if req.User != "" {
		img, err := a.images.Lookup(rec.App.Digest)
		if err != nil {
			return p, err
		}
		other, err := img.Process(oci.Overrides{Args: req.Args, User: req.User})
		if err != nil {
			return p, err
		}
		p.User = other.User
	}
	return p, nil
}

func mergeEnv(env, more []string) []string {
	env = slices.Clone(env)
	for _, kv := range more {
		key, _, _ := strings.Cut(kv, "=")
		env = slices.DeleteFunc(env, func(have string) bool { return strings.HasPrefix(have, key+"=") })
		env = append(env, kv)
	}
	return env
}

func (a *Agent) exec(l *live, execer sandbox.Execer, p sandbox.Process, stdin bool, s *stream) error {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	var readers sync.WaitGroup
	files := &stdFiles{}
	defer files.close()
	pipe := func(name string) (*os.File, error) {
		r, w, err := os.Pipe()
		if err == nil {
			readers.Go(func() { passOn(s, name, r) })
		}
		return w, err
	}
	if err := files.open(pipe, stdin); err != nil {
		return err
	}
	if err := makeBlocking(files.app); err != nil {
		return err
	}
	p.Stdio = files.give()
	running, err := execer.Exec(ctx, p)
	if err != nil {
		return err
	}
	if err := s.json(api.FrameStarted, api.Run{}); err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	left := make(chan struct{})
	a.work.Go(func() {
		defer close(left)
		//nolint:errcheck // however it left
		s.serve(ctx, target{stdin: files.stdin, signal: running.Signal, resize: running.Resize})
		running.Signal(ctx, sandbox.SIGHUP) //nolint:errcheck // it may have ended
	})
	exit, err := running.Wait(ctx)
	if err != nil {
		return err
	}
	readers.Wait()
	err = s.json(api.FrameExit, exit)
	s.conn.Close()
	<-left
	return err
}

// passOn copies output to the stream until its writers are gone; a client that
// left does not stop the process's writes.
func passOn(s *stream, name string, r *os.File) {
	defer r.Close()
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.output(name, buf[:n]) //nolint:errcheck // as said above
		}
		if err != nil {
			return
		}
	}
}
