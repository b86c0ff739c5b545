package qemu

import (
	"github.com/consentry/consentry/sandbox"
)

// LauncherName is the hidden subcommand under which this program starts itself.
const LauncherName = "vm-launcher"

// wireFD is the launcher's inherited socket.
const wireFD = 3

// The calls of the agent to the launcher.
//
//	agent                              launcher
//	  | boot + control, frames           |
//	  | -------------------------------> | mounts, virtiofsd, QEMU
//	  | wait                             |
//	  | -------------------------------> | until either of them has ended
//	  | walls                            |
//	  | -------------------------------> | reads QEMU's /proc
//
// The agent's hang-up ends the launcher, and with it everything.
const (
	verbBoot  = "boot"
	verbWait  = "wait"
	verbWalls = "walls"
)

type bootCall struct {
	Plan      plan         `json:"plan"`
	Spec      sandbox.Spec `json:"spec"`
	StateDir  string       `json:"stateDir"`
	Kernel    string       `json:"kernel"`
	Initramfs string       `json:"initramfs"`
	QEMU      string       `json:"qemu"`
	FilesD    string       `json:"filesD"`
}

// ended is why the machine is over.
type ended struct {
	Clean bool   `json:"clean"` // QEMU ended by itself, without an error
	Why   string `json:"why,omitempty"`
}
