// Command launch compares how long a sandbox takes from start to exit of a
// static program that does nothing: ours with all walls, asked for by a process
// that runs already, as the agent does, from a sandbox that waits or anew; and bubblewrap, crun and runc of the
// distribution as programs. Peers take turns within a round; a ratio is made of
// two figures of the same round, and the table shows the median of the rounds'
// ratios.
//
// With -heap the same with a large heap in the starting process, which must not
// matter; -at-once starts many at the same moment; -calls compares what system
// calls cost inside and bare.
//
// crun and runc refuse a hybrid cgroup layout, so peers run in a mount namespace
// with cgroup2 alone, and without limits.
package main
