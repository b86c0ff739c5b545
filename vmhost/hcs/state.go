package hcs

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// howItEnded reads the service's document about the end of a machine. A guest
// that powers off, and an end that was asked for, are none to complain of.
func howItEnded(said string) error {
	if said == "" {
		return nil
	}
	var end struct {
		Status   int32
		ExitType string
	}
	if err := json.Unmarshal([]byte(said), &end); err != nil {
		return fmt.Errorf("the machine has ended; the service said %q", said[:min(len(said), 200)]) //nolint:mnd // enough to look for
	}
	switch {
	case end.Status < 0:
		return failed("the machine has ended", result(uint32(end.Status)), end.ExitType) //nolint:gosec // an HRESULT
	case end.ExitType == "UnexpectedExit":
		return errors.New("the machine has ended by itself, without a power off")
	}
	return nil
}

// boundary judges what the service says of a machine that is to run.
func boundary(properties string) sandbox.Wall {
	w := sandbox.Wall{Name: "VM boundary", Required: true}
	var known struct{ SystemType, State, RuntimeID string }
	err := json.Unmarshal([]byte(properties), &known)
	switch {
	case err != nil:
		w.Detail = err.Error()
	case known.SystemType != "VirtualMachine":
		w.Detail = fmt.Sprintf("the service has a %q", known.SystemType)
	case known.State != "Running":
		w.Detail = fmt.Sprintf("the machine is %q", known.State)
	default:
		w.Stands, w.Detail = true, "Hyper-V machine "+known.RuntimeID+": disks that are only read, a socket, nothing else"
	}
	return w
}
