package attack

import (
	"maps"
	"slices"

	"github.com/consentry/consentry/sandbox"
)

// Results that are no errno.
const (
	Done   = "done"   // the attack worked, or the harmless thing did
	Masked = "masked" // /dev/null, or an empty directory, lies over it
	Empty  = "empty"
	Inside = "inside" // it led back into the sandbox
	None   = "none"
)

var user = sandbox.User{UID: 1000, GID: 1000}

func want(results ...string) []string { return results }

// all gives every attempt the same results.
func all(results []string, tries ...string) map[string][]string {
	m := map[string][]string{}
	for _, t := range tries {
		m[t] = results
	}
	return m
}

// Probes are the attacks that run on any host of OCI apps. Most run as the
// image's root: what root may not, nobody may.
var Probes = []Probe{
	{Row: 1, Name: "namespaces", Want: map[string][]string{
		"unshare user": want("EPERM"), "unshare mount": want("EPERM"), "clone user": want("EPERM"),
		"clone3": want("ENOSYS"), "setns": want("EPERM", "EACCES"), // the LSM refuses to open the namespace
	}},
	{Row: 2, Name: "mounts", Want: all(want("EPERM"),
		"mount", "bind", "remount", "umount", "fsopen", "fsmount", "open_tree", "move_mount", "mount_setattr", "pivot_root", "chroot")},
	{Row: 3, Name: "handles", Want: all(want("EPERM"), "name_to_handle_at", "open_by_handle_at")},
	{Row: 4, Name: "release-agent", Want: map[string][]string{
		"write release_agent": want("ENOENT", "EACCES", "EROFS"), "mount cgroup": want("EPERM"), "cgroup files": want(None),
	}},
	{Row: 5, Name: "kernel-knobs", Want: all(want("EROFS", "ENOENT", "EACCES"),
		"core_pattern", "modprobe", "hostname", "suid_dumpable", "binfmt_misc", "uevent_helper", "ip_forward")},
	{Row: 6, Name: "kernel-files", Want: map[string][]string{
		"sysrq-trigger": want(Masked, "ENOENT", "EACCES"), "kcore": want(Masked, "ENOENT", "EACCES"), "kallsyms": want(Masked, "ENOENT", "EACCES"),
		"kmsg": want(Masked, "ENOENT", "EACCES", "EPERM"), "keys": want(Masked, "ENOENT", "EACCES"), "timer_list": want(Masked, "ENOENT", "EACCES"),
		"firmware": want(Empty, "ENOENT"), "kernel log": want("EPERM"),
	}},
	{Row: 7, Name: "devices", Want: map[string][]string{
		"mknod mem": want("EPERM"), "mknod disk": want("EPERM"), "mknod kvm": want("EPERM"),
		"open mem": want("ENOENT"), "open kmsg": want("ENOENT"), "open disk": want("ENOENT"), "open tun": want("ENOENT"),
		"open kvm": want("ENOENT"), "open fuse": want("ENOENT"),
	}},
	{Row: 8, Name: "other-memory", Want: map[string][]string{
		"ptrace init": want("EPERM"), "ptrace outsider": want("EPERM", "ESRCH"), "seize init": want("EPERM"),
		"read memory of init": want("EPERM"), "write memory of init": want("EPERM"),
		"open mem of init": want("EACCES", "EPERM"), "open mem of outsider": want("ENOENT"), "environment of init": want("EACCES"),
	}},
	{Row: 9, Name: "pidfd", Want: map[string][]string{
		"pidfd_open outsider": want("ESRCH"), "pidfd_getfd init": want("EPERM"),
	}},
	{Row: 10, Name: "kill-all", User: user, Want: map[string][]string{
		"kill outsider": want("ESRCH"), "kill -1": want(Done, "ESRCH"), "kill init": want("EPERM"),
	}},
	{Row: 10, Name: "kill-init", Want: map[string][]string{"init after signals": want(Done)}},
	{Row: 11, Name: "bpf", Want: all(want("EPERM"), "prog load", "map create")},
	{Row: 12, Name: "perf", Want: all(want("EPERM"), "perf_event_open")},
	{Row: 13, Name: "userfaultfd", Want: all(want("EPERM"), "userfaultfd", "user mode only")},
	{Row: 14, Name: "keys", Want: all(want("EPERM"), "keyctl", "add_key", "request_key")},
	{Row: 15, Name: "io-uring", Want: all(want("ENOSYS", "EPERM"), "setup", "enter", "register")},
	{Row: 16, Name: "modules", Want: all(want("EPERM"), "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot")},
	{Row: 17, Name: "foreign-calls", Want: map[string][]string{"i386": want("SIGSYS", None), "x32": want("ENOSYS", None)}},
	{Row: 18, Name: "tiocsti", Want: all(want("EPERM"), "TIOCSTI", "TIOCSTI with high bits", "TIOCLINUX", "TIOCLINUX with high bits")},
	{Row: 19, Name: "memfd", User: user, Want: map[string][]string{"capabilities": want(None), "no_new_privs": want(Done), "seccomp": want(Done)}},
	{Row: 20, Name: "setuid", User: user, Want: map[string][]string{
		"user of a set-uid program": want("1000"), "its capabilities": want(None), "capabilities of a file": want(None, "EPERM"),
	}},
	{Row: 20, Name: "bounded", Want: all(want(Done), "CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")},
	{Row: 20, Name: "root-power", Want: map[string][]string{
		"chown to an own id": want(Done), "read another user's file": want(Done), "fifo": want(Done),
		"chown to an id outside": want("EINVAL"), "become an id outside": want("EINVAL"), "groups outside": want("EINVAL"),
		"raise SYS_ADMIN": want("EPERM"), "raise NET_ADMIN": want("EPERM"), "ambient SYS_ADMIN": want("EPERM"),
		"capabilities for a file": want("EPERM"), "trusted attribute": want("EPERM"), "block device": want("EPERM"),
		"own sysctl": want("EROFS", "EPERM"), "oom score": want("EACCES"), "priority": want("EACCES", "EPERM"), "open files": want("EPERM"),
		"host name": want("EPERM"), "address of the card": want("EPERM"), "set-uid program made here": want(None),
	}},
	{Row: 21, Name: "inherited", Want: map[string][]string{"descriptors": want(None), "working directory": want(Inside), "above it": want(Inside)}},
	{Row: 22, Name: "overwrite", Want: map[string][]string{
		"exe of init": want("EACCES"), "exe of init by link": want("EACCES", "ENOENT"), "own exe": want("ETXTBSY", "EACCES", "EROFS"),
	}},
	{Row: 24, Name: "magic-links", Want: map[string][]string{
		"root of init": want("EACCES"), "cwd of init": want("EACCES"), "descriptors of init": want("EACCES"),
		"own root": want(Inside), "dots": want(Inside), "host file": want("ENOENT"),
	}},
	{Row: 25, Name: "argument-races", Want: all(want(None), "path", "address")},
	{Row: 26, Name: "abstract", Want: map[string][]string{"host socket": want("ECONNREFUSED", "EPERM")}},
	{Row: 27, Name: "host-sockets", Want: all(want("ENOENT"),
		"docker", "containerd", "podman", "system bus", "user bus", "x11", "wayland", "agent")},
	{Row: 28, Name: "vsock", Want: all(want("EAFNOSUPPORT", "EPERM"), "vsock")},
	{Row: 29, Name: "raw", Want: map[string][]string{
		"packet": want("EAFNOSUPPORT", "EPERM"), "raw ip": want("EPERM"), "raw ip6": want("EPERM"), "old packet": want("EPERM"), "transparent": want("EPERM"),
		"mark": want("EPERM"), "promiscuous": want("EPERM"),
	}},
	{Row: 30, Name: "families", Want: map[string][]string{
		"alg": want("EAFNOSUPPORT", "EPERM"), "xdp": want("EAFNOSUPPORT", "EPERM"), "bluetooth": want("EAFNOSUPPORT"), "can": want("EAFNOSUPPORT"),
		"tipc": want("EAFNOSUPPORT"), "rds": want("EAFNOSUPPORT"), "smc": want("EAFNOSUPPORT"), "netlink audit": want("EPERM"), "netlink netfilter": want("EPERM"),
		"netlink xfrm": want("EPERM"), "netlink uevent": want("EPERM"), "new route": want("EPERM"), "route read": want(Done), "pair": want("EAFNOSUPPORT"),
	}},
	{Row: 66, Name: "shared-socket", Want: all(want("ECONNREFUSED", "ENOENT"), "connect", "send", "connect by descriptor")},
	{Row: 44, Name: "share-escape", Own: true, Want: map[string][]string{
		"link to the host": want("ENOENT"), "link upwards": want("ENOENT"), "dots by descriptor": want("ENOENT"),
		"write": want("EROFS"), "write by descriptor": want("EROFS"), "write by link": want("EROFS"), "truncate": want("EROFS"), "chmod": want("EROFS"),
		"hard link": want("EXDEV"), "hard link by descriptor": want("EXDEV"), "rename out": want("EXDEV"), "exchange": want("EXDEV"),
		"rename race": want(None), "moved out of the folder": want("ENOENT"),
	}},
	{Row: 63, Name: "disk-full", Limits: sandbox.Limits{Memory: 128 << 20}, Want: all(want("ENOSPC"), "fill /", "fill /tmp", "fill /dev/shm")},
	{Row: 60, Name: "fork-bomb", Limits: sandbox.Limits{PIDs: 40}, Want: map[string][]string{"fork": want("EAGAIN")}},
	{Row: 61, Name: "memory-bomb", Limits: sandbox.Limits{Memory: 64 << 20}, Exit: sandbox.Exit{Code: 137, OOM: true}},
	{Row: 62, Name: "exhaustion", User: user, Want: map[string][]string{"descriptors": want("EMFILE"), "inotify": want("EMFILE")}},
}

// OnGuestKernel is a probe for a microVM: its kernel lacks more than a
// distribution's, namely the 32-bit entry, so that a program faults there, and
// core dumps with their sysctl.
func (p Probe) OnGuestKernel() Probe {
	p.Want = maps.Clone(p.Want)
	for try, also := range map[string]string{"i386": "exit status 2", "own sysctl": "ENOENT"} {
		if want, tried := p.Want[try]; tried {
			p.Want[try] = append(slices.Clone(want), also)
		}
	}
	return p
}
