// Package guestinit is the first process of a microVM that runs one app.
//
//	kernel ──> steps (steps_linux.go) ──> hello ──> calls of the host ──> power off
//	                                                 │
//	                                                 └─> linuxhost ──> the app
//
// It makes the place that linuxhost expects, tells the host over guestwire what
// it found, and then does what the host says: the app and further processes,
// their standard files, signals, posture. Inside the guest the app stands behind
// the same walls as on a Linux machine, and here all of them are required.
//
// What it promises: the control port is opened once, before anything of an app
// is there, and nothing of the app can reach it; no app starts where the LSM
// list lacks bpf or landlock, or where no denial was proven; when the host hangs
// up, or a step fails, or this process fails, the machine powers off (the kernel
// is started with panic=-1). What it does not: guard the host from a guest whose
// kernel was taken over. That is the machine's boundary, and the router's.
package guestinit

// ModulesDir of the initramfs holds the kernel modules to load, in the order of
// their names; a kernel with all built in has none.
const ModulesDir = "/modules"
