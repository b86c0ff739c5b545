// Package vmhost runs an app in a microVM of its own, behind the same walls as
// on a Linux machine, in a guest whose kernel is ours.
//
//	agent ── Driver ──> machine: kernel, guestinit ── linuxhost ──> the app
//	  │                  │   │
//	  │ guestwire        │   └─ network card ──> the app's router, in its worker
//	  └──────────────────┘
//
// What differs between systems is a Driver: how a machine is booted, and how its
// files, its control connection and its network card reach the outside. Host is
// the same everywhere.
//
// What it promises: the guest is asked about nothing it could lie its way out
// with. Which app it is, is the connection; what it may see is decided before it
// boots; what leaves its card is judged by the router. A guest that does not
// speak this version, lacks a wall, or whose machine lost a wall of its own, runs
// no app. When the agent, the driver's process or the guest ends, all of the
// machine ends, and the app's exit says which it was.
package vmhost
