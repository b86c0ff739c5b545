package agent

import (
	"context"
	"fmt"
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// What can stand around an image: api.RunRequest.Isolation.
const (
	isolationAuto   = "auto"
	isolationNative = "native"
	isolationVM     = "vm"
)

// surroundings are what a choice of isolation depends on.
type surroundings struct {
	native []sandbox.Wall // walls that are missing on this machine and were not waived
	vm     error          // why no microVM can be had; nil where one can
	fast   bool           // its processor is not emulated
}

// isolationFor is what a run gets that asked for a kind, "" for the agent's
// own. Nobody is given less than what they asked for.
func isolationFor(asked string, s surroundings) (string, error) {
	switch asked {
	case isolationNative:
		return isolationNative, nil
	case isolationVM:
		if s.vm != nil {
			return "", &api.Error{
				Code: "not-supported", Message: "no microVM can be had here: " + s.vm.Error(), Status: http.StatusNotImplemented,
				Hint: "install what is missing, or use --isolation native",
			}
		}
		return isolationVM, nil
	case isolationAuto, "":
		if len(s.native) > 0 && s.vm == nil && s.fast {
			return isolationVM, nil
		}
		return isolationNative, nil
	}
	return "", invalid("isolation %q: %s, %s or %s", asked, isolationAuto, isolationNative, isolationVM)
}

// machineHost is a Host that can have the processor of any app.
type machineHost interface {
	CheckFor(ctx context.Context, arch string) error
	Accelerated(arch string) bool
}

// isolate decides what will stand around an image, now and at every start of
// this run.
func (a *Agent) isolate(ctx context.Context, rec *record) (err error) {
	asked := rec.Request.Isolation
	if asked == "" {
		asked = a.cfg.Isolation
	}
	s := surroundings{vm: fmt.Errorf("%w: this agent has no driver for them", sandbox.ErrNotSupported)}
	if asked != isolationNative && a.cfg.VM != nil {
		waived, _ := a.waived(rec.App)
		s.native = a.missing(ctx, append(waived, rec.Request.Waive...))
		if asked == isolationVM || len(s.native) > 0 {
			s.vm = a.cfg.VM.Check(ctx)
			if m, can := a.cfg.VM.(machineHost); can {
				s.vm, s.fast = m.CheckFor(ctx, rec.Spec.Image.Arch), m.Accelerated(rec.Spec.Image.Arch)
			}
		}
	}
	if rec.Isolation, err = isolationFor(asked, s); err != nil {
		return err
	}
	if rec.inVM() && len(rec.Request.Waive) > 0 {
		return invalid("a microVM has every wall; there is none to waive: leave --waive out, or use --isolation native")
	}
	return nil
}

// inVM says whether a microVM stands around the run.
func (r *record) inVM() bool { return r.Isolation == isolationVM }
