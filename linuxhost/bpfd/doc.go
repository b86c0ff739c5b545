// Package bpfd is consentry-bpf, the process that raises eBPF fences for agents
// that are not root, and the agent's end of its socket.
//
// What it promises: programs come from this package's own objects, never from a
// caller; a fence goes around a cgroup only that belongs to the caller and in
// which nothing runs; the programs judge what runs below that cgroup in a user
// namespace, and nothing else on the machine; a caller is given the maps of its
// own fences only. When a caller hangs up, or this process dies, the programs
// stay until nothing runs there any more.
//
// What it does not promise: that a caller gives its sandboxes few rights. The
// maps are the caller's to fill, as the sandboxes are the caller's to start.
package bpfd
