// Package linuxhost runs the programs of an OCI image on native Linux, behind
// namespaces, an overlay of the image, seccomp, Landlock and cgroups.
//
//	agent ──wire──> launcher ──wire──> sandbox-init (PID 1) ──fork──> the app
//	(Host)          host root          root of its user namespace     its own ids
//
// The launcher is this program again, one process for one app run. It holds
// the rights of the host and reads nothing that the app wrote, but for the
// bounded answers of our own init. Init builds the sandbox from a list of
// named steps, raises the walls around itself, and only then starts the app,
// so that every process of the app is born behind them.
//
// What it promises: a wall that is required and does not stand ends the start
// with an error (promise P8); Posture is read back from the live sandbox by the
// launcher, not remembered; when the agent or the launcher ends, however it
// ends, the sandbox ends; an app owns ids of its own; its root may do with
// them what a root does (chown, change user), and nothing else; other users
// have no capability at all.
//
// What it does not promise yet: verdicts by eBPF where the kernel loads no LSM
// programs (Posture says so; cgroup programs judge there, see package bpf), and shares
// that appear while the app runs. In a user namespace (see rootless) apps share
// the ids of the user instead of having their own. Sockets and FIFOs
// that lie in a share when the app starts are covered, and nodev keeps devices
// away; one that a program of the host makes later is seen, and then only the
// rights on it stop a connect. Sources that are known to hold such sockets, and
// keyrings, are refused.
package linuxhost
