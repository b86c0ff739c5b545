package vz

import (
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// SocketFD is where the helper inherits its socket.
const SocketFD = 3

// The calls of the agent to the helper.
//
//	agent                            helper
//	  | boot + control, frames         |
//	  | -----------------------------> | configures and starts the machine
//	  | wait                           |
//	  | -----------------------------> | until it has stopped
//	  | state                          |
//	  | -----------------------------> | as the framework says it
const (
	verbBoot  = "boot"
	verbWait  = "wait"
	verbState = "state"
)

// Machine is all that is told of one. Paths are of this system.
type Machine struct {
	Kernel    string `json:"kernel"`
	Initramfs string `json:"initramfs"`
	Line      string `json:"line"` // kernel command line
	Memory    uint64 `json:"memory"`
	CPUs      uint   `json:"cpus"`
	Files     string `json:"files"` // folder that is shared, read-only
}

// Check refuses what no driver of ours asks for.
func (m Machine) Check() error {
	const most = 64
	if m.Kernel == "" || m.Initramfs == "" || m.Files == "" || m.Memory < mebibyte || m.CPUs == 0 || m.CPUs > most {
		return fmt.Errorf("%w: machine %+v", sandbox.ErrInvalid, m)
	}
	return nil
}

const mebibyte = 1 << 20

// kernelLine: the console is the first port of the console device.
const kernelLine = "console=hvc0 quiet panic=-1 lsm=landlock,yama,bpf"

// ended is why a machine is over.
type ended struct {
	Clean bool   `json:"clean"` // the guest has powered off
	Why   string `json:"why,omitempty"`
}

type state struct {
	State string `json:"state"` // "running", "paused", …
}

// running is the state in which the boundary stands.
const running = "running"
