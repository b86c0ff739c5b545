// Package bpf judges the calls of sandboxes in the kernel. It loads two sets of
// programs, written in C below c/ and committed as objects: LSM programs, which
// judge every call on a file, a mount, a process or a socket, and cgroup
// programs, a second line for sockets, devices and sysctls that loads where LSM
// programs do not.
//
// What it promises: what no map allows is denied, and the maps are empty when a
// sandbox begins. A set is said to stand only after this package has seen it
// deny a call that it allowed before (Raise). Programs, links and maps are
// pinned: an agent that dies opens nothing, its sandboxes go on being judged by
// the maps as they were. The ring of events only reports: when it is full the
// verdicts are the same, and the loss is counted.
//
// What it does not promise: verdicts on names of hosts (the router's part), on
// sub-folders of a mount, or on what happens between a page fault and a mapped
// file: a mapping made before a mount was taken back stays.
package bpf
