/*
 * The second net line: cgroup programs, attached above all sandboxes of one
 * agent. They load where LSM programs do not. A call is allowed when the
 * policy of the caller's cgroup names the network namespace of the socket; no
 * policy is a no.
 *
 * Built twice: with OF_USER for fences that a user asked for. That needs the
 * kernel's types, which the other one does without.
 */
#include "policy.h"

char LICENSE[] SEC("license") = "GPL";

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2

#define ALLOW 1
#define DENY 0

#ifdef OF_USER
/* beside: see judge.h. */
static __always_inline int beside(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, real_cred, user_ns, level) == 0;
}
#else
#define beside() 0
#endif

/* at_home: the socket is of the sandbox's own network namespace. */
static __always_inline int at_home(__u64 cgroup, __u64 cookie)
{
	struct policy *p = bpf_map_lookup_elem(&policies, &cgroup);

	if (!p)
		return DENY;
	if (p->mode == MODE_BUILDING)
		return ALLOW;
	return p->mode == MODE_SEALED && p->cookie && p->cookie == cookie ? ALLOW : DENY;
}

static __always_inline int judge_address(struct bpf_sock_addr *ctx, enum hook hook, int v6)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	int verdict = beside() ? ALLOW : at_home(cgroup, bpf_get_netns_cookie(ctx));

	if (!wants_report(cgroup, verdict == DENY))
		return verdict;
	struct event *e = new_event(cgroup, hook, verdict == DENY);
	if (!e)
		return verdict;
	e->family = v6 ? AF_INET6 : AF_INET;
	e->port = bpf_ntohs(ctx->user_port);
	e->wanted = ctx->type;
	__u32 *address = (__u32 *)e->address;
	if (v6) {
		address[0] = ctx->user_ip6[0];
		address[1] = ctx->user_ip6[1];
		address[2] = ctx->user_ip6[2];
		address[3] = ctx->user_ip6[3];
	} else {
		address[0] = ctx->user_ip4;
	}
	bpf_ringbuf_submit(e, 0);
	return verdict;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_CONNECT, 0);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_CONNECT, 1);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_SENDMSG, 0);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_SENDMSG, 1);
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_BIND, 0);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	return judge_address(ctx, HOOK_CG_BIND, 1);
}

/* Only internet sockets come here: other families are seccomp's and LSM's. */
SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	int verdict = at_home(cgroup, bpf_get_netns_cookie(ctx));

	if (beside())
		return ALLOW;
	if (ctx->type != SOCK_STREAM && ctx->type != SOCK_DGRAM)
		verdict = DENY;
	if (!wants_report(cgroup, verdict == DENY))
		return verdict;
	struct event *e = new_event(cgroup, HOOK_CG_SOCK_CREATE, verdict == DENY);
	if (!e)
		return verdict;
	e->family = ctx->family;
	e->wanted = ctx->type;
	bpf_ringbuf_submit(e, 0);
	return verdict;
}

/* harmless: the devices of a sandbox's own /dev, and its terminals. */
static __always_inline int harmless(__u32 kind, __u32 major, __u32 minor)
{
	if (kind != BPF_DEVCG_DEV_CHAR)
		return 0;
	switch (major) {
	case 1: /* null, zero, full, random, urandom */
		return minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9;
	case 5: /* tty, ptmx */
		return minor == 0 || minor == 2;
	case 136: /* devpts: Unix98 slaves */
		return 1;
	}
	return 0;
}

SEC("cgroup/dev")
int device(struct bpf_cgroup_dev_ctx *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct policy *p = bpf_map_lookup_elem(&policies, &cgroup);
	__u32 kind = ctx->access_type & 0xffff, access = ctx->access_type >> 16;
	if (beside())
		return ALLOW;
	int verdict = p && p->mode != MODE_SHUT && !(access & BPF_DEVCG_ACC_MKNOD) &&
				      harmless(kind, ctx->major, ctx->minor) ?
			      ALLOW :
			      DENY;

	if (!wants_report(cgroup, verdict == DENY))
		return verdict;
	struct event *e = new_event(cgroup, HOOK_CG_DEVICE, verdict == DENY);
	if (!e)
		return verdict;
	e->object = (__u64)ctx->major << 32 | ctx->minor;
	e->wanted = ctx->access_type;
	bpf_ringbuf_submit(e, 0);
	return verdict;
}

SEC("cgroup/sysctl")
int sysctl(struct bpf_sysctl *ctx)
{
	if (!ctx->write || beside())
		return ALLOW;
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct policy *p = bpf_map_lookup_elem(&policies, &cgroup);

	if (p && p->mode == MODE_BUILDING)
		return ALLOW;
	struct event *e = new_event(cgroup, HOOK_CG_SYSCTL, 1);
	if (e) {
		bpf_sysctl_get_name(ctx, e->name, sizeof(e->name), 0);
		bpf_ringbuf_submit(e, 0);
	}
	return DENY;
}
