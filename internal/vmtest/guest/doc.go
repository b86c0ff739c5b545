// Package guest has no code: its tests run inside a virtual machine and say
// what the kernel there offers to a sandbox.
package guest
