// Command openclaw compares how long OpenClaw takes from the command that starts
// it to a 200 on /healthz, its image being there: under ours, in a bare chroot,
// and under podman. Contenders take turns within a round; a ratio is made of two
// figures of the same round, and the table shows the medians.
//
// Each starts from the image's files and nothing else, so none has Node's compile
// cache of an earlier start. What they read is in memory: a round that does not
// count comes first.
//
// All run in a network namespace with nothing but a loopback. The chroot has no
// wall at all. podman starts without cgroup limits, since crun refuses hybrid
// cgroups and this machine may lack CAP_SYS_RESOURCE, and with the network of
// the namespace ("host"), or with one of its own, as it does by itself
// ("bridge").
//
//	openclaw -program bin/consentry -image .cache/openclaw/image
package main
