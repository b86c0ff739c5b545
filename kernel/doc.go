// Package kernel holds the configuration of the guest's Linux: config/ is what
// is asked for on top of allnoconfig, each group with its reason, and
// scripts/guest-kernel.sh builds it (`make kernel ARCH=x86_64`), the same bytes
// from the same inputs.
//
// It promises that every line of the configuration has a reason beside it. It
// holds no kernel: those are built, or fetched from Debian for quick tests
// (`make kernels`).
package kernel
