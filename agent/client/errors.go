package client

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/ipc"
)

// ErrNotRunning is wrapped by errors about an agent that nobody serves.
var ErrNotRunning = errors.New("the agent is not running")

// Advice is an error with what to do about it.
type Advice struct {
	Err  error
	Text string // one sentence
}

func (a *Advice) Error() string { return a.Err.Error() }

func (a *Advice) Unwrap() error { return a.Err }

// Hint is what to do about err, "" if there is nothing to say.
func Hint(err error) string {
	var advice *Advice
	if errors.As(err, &advice) {
		return advice.Text
	}
	var fault *api.Error
	if errors.As(err, &fault) {
		return fault.Hint
	}
	return ""
}

// explain turns an error of the socket into one a person can act on.
func explain(err error, p ipc.Paths) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &Advice{Err: notRunning{p.Socket}, Text: "start it with: consentry agent"}
	case errors.Is(err, fs.ErrPermission):
		return &Advice{
			Err:  &socketError{"no permission to open the agent's socket " + p.Socket, err},
			Text: "run consentry as the user who runs the agent, or set " + ipc.HomeEnv + " to a folder of your own",
		}
	case errors.Is(err, ipc.ErrStranger):
		return &Advice{
			Err:  &socketError{"the agent at " + p.Socket + " is run by another user", err},
			Text: "run consentry as that user, or set " + ipc.HomeEnv + " to a folder of your own",
		}
	}
	return err
}

type notRunning struct{ socket string }

func (n notRunning) Error() string {
	return "the agent is not running (nothing answers at " + n.socket + ")"
}

func (n notRunning) Is(target error) bool { return target == ErrNotRunning }

type socketError struct {
	text  string
	cause error
}

func (s *socketError) Error() string { return s.text }

func (s *socketError) Unwrap() error { return s.cause }
