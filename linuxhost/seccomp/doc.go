// Package seccomp turns readable tables of system calls into BPF programs.
//
// It promises: a call that no table names is refused with ENOSYS, so that a
// call newer than the table is never let in; a call of another architecture
// kills the process; arguments are compared with the width the kernel uses.
// The program is a balanced tree, so its cost hardly depends on the number of
// rules.
//
// It does not promise to tell one path, address or buffer from another: a
// filter sees registers only.
package seccomp
