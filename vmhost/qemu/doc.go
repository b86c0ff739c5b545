// Package qemu boots microVMs with QEMU on Linux, on KVM where the machine has
// it and on an emulated processor where it has not.
//
//	agent ──wire──> vm-launcher (PID 1 of its own namespaces) ─┬─> virtiofsd
//	(Driver)        mounts the app's files, starts both        └─> qemu
//	  │                                                              │ │
//	  ├─ socketpair: virtio-serial, guestwire ───────────────────────┘ │
//	  └─ socketpair: frames of the network card, to the router ────────┘
//
// The launcher is this program again, one process for one machine. It is the
// first process of a PID namespace, so that whatever ends it (the agent's
// hang-up, a kill) ends QEMU and virtiofsd with it. It reads nothing that the
// guest wrote but the last bytes of the console.
//
// QEMU is a process of the app's own ids with no network, no devices but
// /dev/kvm, no files but its own program, kernel and initramfs, and its own
// system-call filter (-sandbox on). What the guest reaches is a virtio-serial
// port, a network card that ends in the router, a virtio-fs device with the
// app's files, random numbers, a balloon and a console.
package qemu
