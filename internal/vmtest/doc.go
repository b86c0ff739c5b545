// Package vmtest runs a test binary inside a small virtual machine: a
// distribution's kernel in QEMU, an initramfs made for the occasion, and the
// binary as a child of its first process, as root.
//
//	test                     QEMU                   guest
//	  | initramfs: init, job.json, binary, modules    |
//	  | ---------------------------------------------> | mounts, insmod, new root
//	  |            ttyS0: the kernel's words (kept)    |
//	  | <--------------------------------------------- |
//	  |            ttyS1: the binary's output          |
//	  | <--------------------------------------------- |
//	  |            ttyS2: "exit N"                     |
//	  | <--------------------------------------------- | power off
//
// It promises that a run without "exit N" is a failure: a kernel that panics,
// an init that dies or a machine that hangs is never taken for a test that
// passed. It emulates the processor (TCG), so it needs no rights and no KVM,
// and it is slow: a boot takes three to six seconds. It is for tests only.
package vmtest
