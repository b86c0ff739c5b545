// Package vz boots microVMs on macOS with Apple's Virtualization framework.
//
//	agent ──wire──> consentry-vz: one process, one machine; alone entitled to it
//	(Driver)          │
//	  ├─ socket pair: virtio console port, guestwire
//	  └─ datagram pair: frames of the network card, to the router
//
// The helper (cmd/consentry-vz) calls the framework; what it says and does is
// here and portable (Serve), so that it is tested on Linux with a machine that is
// a function. When the agent's end of its socket closes, it ends, and the
// framework ends the machine with it.
//
// A layer is an ext4 image in the one folder that the machine is shown. What apps
// write is in its memory: a file system of macOS keeps no owners of Linux.
package vz
