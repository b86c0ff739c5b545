/*
 * What both sets of programs share: the policies of the sandboxes, and the
 * ring that tells what was judged. The ring only reports; no verdict depends
 * on it.
 */
#pragma once
#include "kernel.h"

/* Modes of a policy. What is not in the map is shut, and so is zero. */
#define MODE_SHUT 0
#define MODE_BUILDING 1 /* our init builds the sandbox; nothing of the app runs */
#define MODE_SEALED 2

struct policy {
	__u32 mode;
	__u32 netns;  /* inode number of the network namespace */
	__u64 cookie; /* of the same namespace */
	__u64 pinned; /* only files that did not change since are run, ns since 1970; 0: any */
};

#define MAX_SANDBOXES 4096

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SANDBOXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* id of the cgroup */
	__type(value, struct policy);
} policies SEC(".maps");

/* Sandboxes of which allowed calls are reported too, for `consentry trace`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SANDBOXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} traced SEC(".maps");

/* counters: events that found the ring full; whether anybody traces at all. */
#define COUNT_LOST 0
#define COUNT_TRACED 1
#define COUNTERS 2

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Must be as event.go reads it. */
struct event {
	__u64 time;   /* ns of CLOCK_MONOTONIC */
	__u64 cgroup; /* id */
	__u64 object; /* mount id, device number */
	__u32 pid;    /* of the process, as the host sees it */
	__u16 hook;
	__u8 denied;
	__u8 family;
	__u32 port;
	__u32 wanted; /* rights, socket type */
	__u8 address[16];
	char comm[16];
	char name[184]; /* ends with NUL, or fills the field */
};

#define RIGHT_READ 1
#define RIGHT_WRITE 2
#define RIGHT_EXEC 4
#define RIGHT_NOTED 8 /* no right: who maps a file there is noted, see mapped */

/* Hooks by number; hooks.go has their names. */
enum hook {
	HOOK_NONE,
	/* cgroup programs */
	HOOK_CG_SOCK_CREATE,
	HOOK_CG_CONNECT,
	HOOK_CG_SENDMSG,
	HOOK_CG_BIND,
	HOOK_CG_DEVICE,
	HOOK_CG_SYSCTL,
	/* LSM programs */
	HOOK_OPEN = 16,
	HOOK_PERMISSION,
	HOOK_RECEIVE,
	HOOK_MMAP,
	HOOK_MPROTECT,
	HOOK_IOCTL,
	HOOK_LOCK,
	HOOK_FCNTL,
	HOOK_TRUNCATE,
	HOOK_EXEC,
	HOOK_GETATTR,
	HOOK_SETATTR,
	HOOK_XATTR,
	HOOK_CREATE,
	HOOK_UNLINK,
	HOOK_MKDIR,
	HOOK_RMDIR,
	HOOK_SYMLINK,
	HOOK_LINK,
	HOOK_RENAME,
	HOOK_CHMOD,
	HOOK_CHOWN,
	HOOK_CHROOT,
	HOOK_MOUNT,
	HOOK_MOVE_MOUNT,
	HOOK_UMOUNT,
	HOOK_REMOUNT,
	HOOK_PIVOT_ROOT,
	HOOK_PTRACE,
	HOOK_BPF,
	HOOK_USERNS,
	HOOK_SOCKET,
	HOOK_BIND,
	HOOK_CONNECT,
	HOOK_SENDMSG,
	HOOK_LISTEN,
	HOOK_ACCEPT,
	HOOK_UNIX_CONNECT,
	HOOK_UNIX_SEND,
};

static __always_inline __u64 *counter(__u32 which)
{
	return bpf_map_lookup_elem(&counters, &which);
}

/* wants_report: denials always, the rest only while somebody looks. */
static __always_inline int wants_report(__u64 cgroup, int denied)
{
	if (denied)
		return 1;
	__u64 *watchers = counter(COUNT_TRACED);
	return watchers && *watchers && bpf_map_lookup_elem(&traced, &cgroup);
}

/* new_event fills what every event has; null when the ring is full. */
static __always_inline struct event *new_event(__u64 cgroup, enum hook hook, int denied)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__u64 *lost = counter(COUNT_LOST);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->cgroup = cgroup;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->hook = hook;
	e->denied = denied != 0;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	return e;
}
