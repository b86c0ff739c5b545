// Package killsweep ends a program at a chosen effect of its on the machine: at
// the nth file made, renamed or synced, mount, namespace, program started,
// socket bound or card made, by itself or by any process that came from it.
//
// Nothing in the program knows of it. A seccomp filter reports these calls to
// the sweep (seccomp_unotify(2), Linux 5.5), which lets each go on; at the
// chosen one it kills the program first. The kernel also tells when the last
// process under the filter is gone, whatever it had become the child of.
package killsweep
