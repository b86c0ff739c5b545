/*
 * How the LSM programs judge: who calls, below which mount, on which file
 * system.
 */
#pragma once
#include "policy.h"

/* The cgroup above all sandboxes of one agent: what is below it is judged. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} top SEC(".maps");

struct place {
	__u64 cgroup;
	__u64 id; /* of the mount, or device number of the file system */
};

#define MAX_PLACES 65536

/* Rights by mount. The id is the one that is never used again, where the
 * kernel has it (6.8), else the one of /proc/PID/mountinfo. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PLACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place);
	__type(value, __u32);
} mounts SEC(".maps");

/* Rights by file system, for the hooks that are told no mount. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PLACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place);
	__type(value, __u32);
} filesystems SEC(".maps");

/* Mounts marked as noted, of which a sandbox has mapped a file at some time. A
 * fault asks no hook: what is mapped cannot be taken back by rights. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PLACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place);
	__type(value, __u32);
} mapped SEC(".maps");

/* The fence is one that a user asked for; set before the load. */
volatile const __u32 of_user = 0;

/* Which argument of inode_setattr is the dentry; set before the load. */
volatile const __u32 setattr_dentry = 1;

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define NETLINK_ROUTE 0

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFIFO 0010000

#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_EXEC 0x20
#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4
#define MAY_APPEND 8
#define PROT_EXEC 4

#define TIOCSTI 0x5412
#define TIOCLINUX 0x541C

#define SB_KERNMOUNT (1UL << 22)
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534F434B
#define ANON_INODE_FS_MAGIC 0x09041934
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define PIDFS_MAGIC 0x50494446

/* What a caller is to us. */
enum caller { STRANGER, BUILDER, OUTLAW, TENANT };

/*
 * beside: sandboxes of a user live in user namespaces. What runs in the machine's
 * own may be a set-uid program that the user has put below the fence, and it is
 * not for users to choose which of its calls fail.
 */
static __always_inline int beside(void)
{
	struct task_struct *task;

	if (!of_user)
		return 0;
	task = bpf_get_current_task_btf();
	return BPF_CORE_READ(task, real_cred, user_ns, level) == 0;
}

/* A policy counts below top only: whoever fills the maps rules nobody else. */
static __always_inline enum caller who(__u64 cgroup, struct policy **policy)
{
	struct policy *p;

	*policy = 0;
	if (bpf_current_task_under_cgroup(&top, 0) == 0 || beside())
		return STRANGER;
	p = bpf_map_lookup_elem(&policies, &cgroup);
	*policy = p;
	if (!p)
		return OUTLAW;
	if (p->mode == MODE_BUILDING)
		return BUILDER;
	return p->mode == MODE_SEALED ? TENANT : OUTLAW;
}

/* report_slow writes the event; what is the hook, the rights and the verdict. */
static __noinline void report_slow(__u64 cgroup, __u64 what, __u64 object, const unsigned char *name)
{
	int denied = what >> 32 & 1;

	if (!wants_report(cgroup, denied))
		return;
	struct event *e = new_event(cgroup, what & 0xffff, denied);
	if (!e)
		return;
	e->object = object;
	e->wanted = what >> 16 & 0xffff;
	if (name)
		bpf_probe_read_kernel_str(e->name, sizeof(e->name), name);
	bpf_ringbuf_submit(e, 0);
}

/* tell reports a verdict where somebody wants to know, and returns it. */
static __always_inline int tell(__u64 cgroup, enum hook hook, int verdict, __u64 object, __u32 wanted, struct dentry *d)
{
	if (!verdict) {
		__u64 *watchers = counter(COUNT_TRACED);
		if (!watchers || !*watchers)
			return 0;
	}
	report_slow(cgroup, (__u64)(verdict != 0) << 32 | (__u64)(wanted & 0xffff) << 16 | hook, object,
		    d ? BPF_CORE_READ(d, d_name.name) : 0);
	return verdict;
}

/*
 * SCOPE begins a program: strangers and our init pass; of a tenant it leaves
 * cgroup and policy. The verdict of another program before ours is not looked
 * at: the kernel stops at the first refusal.
 */
#define SCOPE(hook)                                                            \
	__u64 cgroup = bpf_get_current_cgroup_id();                            \
	struct policy *policy;                                                 \
	switch (who(cgroup, &policy)) {                                        \
	case STRANGER:                                                         \
	case BUILDER:                                                          \
		return 0;                                                      \
	case OUTLAW:                                                           \
		return tell(cgroup, hook, -EACCES, 0, 0, 0);                   \
	default:                                                               \
		break;                                                         \
	}

static __always_inline struct mount *mount_of(struct vfsmount *v)
{
	return (struct mount *)((char *)v - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline __u64 mount_id(struct mount *m)
{
	if (bpf_core_field_exists(m->mnt_id_unique))
		return BPF_CORE_READ(m, mnt_id_unique);
	return (__u64)BPF_CORE_READ(m, mnt_id);
}

/*
 * inward: a mount that no path leads to. Either the kernel's own of pipes,
 * sockets, memfds and their like, or a layer that overlayfs opens on behalf of
 * a call that was judged at the overlay's mount.
 */
static __always_inline int inward(struct mount *m)
{
	struct super_block *sb;

	if ((long)BPF_CORE_READ(m, mnt_ns) != -22) /* MNT_NS_INTERNAL: ERR_PTR(-EINVAL) */
		return 0;
	sb = BPF_CORE_READ(m, mnt.mnt_sb);
	if (!(BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT))
		return 1;
	switch (BPF_CORE_READ(sb, s_magic)) {
	case PIPEFS_MAGIC:
	case SOCKFS_MAGIC:
	case ANON_INODE_FS_MAGIC:
	case TMPFS_MAGIC:
	case HUGETLBFS_MAGIC:
	case PIDFS_MAGIC:
		return 1;
	}
	return 0;
}

/* note_mapping: what cannot be noted is not mapped. */
static __always_inline int note_mapping(struct place *at)
{
	__u32 yes = 1;

	return bpf_map_update_elem(&mapped, at, &yes, BPF_ANY) ? -EACCES : 0;
}

static __always_inline int judge_mount(__u64 cgroup, enum hook hook, struct vfsmount *v, struct dentry *d, __u32 wanted)
{
	struct mount *m = mount_of(v);
	struct place at = { .cgroup = cgroup, .id = mount_id(m) };
	__u32 *rights = bpf_map_lookup_elem(&mounts, &at);
	int verdict = -EACCES;

	if (rights ? (*rights & wanted) == wanted : inward(m))
		verdict = hook == HOOK_MMAP && rights && *rights & RIGHT_NOTED ? note_mapping(&at) : 0;
	return tell(cgroup, hook, verdict, at.id, wanted, d);
}

#define CTIME_NSEC 0x3fffffff /* the rest are flags, since 6.13 */

/* changed_at is when a file last changed in any way, in ns since 1970. Who may
 * change a file cannot choose it. */
static __always_inline __u64 changed_at(struct inode *inode)
{
	struct inode___611 *now = (void *)inode;
	struct inode___66 *mid = (void *)inode;
	struct inode___old *old = (void *)inode;
	__s64 sec;
	__u32 nsec;

	if (bpf_core_field_exists(now->i_ctime_sec)) {
		sec = BPF_CORE_READ(now, i_ctime_sec);
		nsec = BPF_CORE_READ(now, i_ctime_nsec) & CTIME_NSEC;
	} else if (bpf_core_field_exists(mid->__i_ctime)) {
		sec = BPF_CORE_READ(mid, __i_ctime.tv_sec);
		nsec = BPF_CORE_READ(mid, __i_ctime.tv_nsec);
	} else {
		sec = BPF_CORE_READ(old, i_ctime.tv_sec);
		nsec = BPF_CORE_READ(old, i_ctime.tv_nsec);
	}
	return sec < 0 ? 0 : (__u64)sec * 1000000000 + nsec;
}

/*
 * foreign_program: where programs are pinned to the image, what changed since
 * the run was made is none of it: a file that was written, moved or linked
 * there, or copied up by overlayfs. Nor is a memfd.
 */
static __always_inline int foreign_program(struct policy *policy, struct file *f)
{
	struct inode *inode;

	if (!policy || !policy->pinned)
		return 0;
	inode = BPF_CORE_READ(f, f_inode);
	if (BPF_CORE_READ(inode, i_sb, s_flags) & SB_KERNMOUNT)
		return 1;
	return changed_at(inode) >= policy->pinned;
}

static __always_inline int judge_path(__u64 cgroup, enum hook hook, const struct path *p, struct dentry *d, __u32 wanted)
{
	return judge_mount(cgroup, hook, BPF_CORE_READ(p, mnt), d, wanted);
}

static __always_inline int judge_file(__u64 cgroup, enum hook hook, struct file *f, __u32 wanted)
{
	/* Loads that the verifier checks, not calls that copy: an open is hot. */
	return judge_mount(cgroup, hook, f->f_path.mnt, f->f_path.dentry, wanted);
}

/* judge_program is judge_file of what is run. */
static __always_inline int judge_program(__u64 cgroup, enum hook hook, struct policy *policy, struct file *f, __u32 wanted)
{
	if (foreign_program(policy, f))
		return tell(cgroup, hook, -EACCES, 0, wanted, f->f_path.dentry);
	return judge_file(cgroup, hook, f, wanted);
}

/*
 * judge_dentry is for hooks that name no mount. While overlayfs works on its
 * layers it wears the credentials of who mounted it: that call was judged at
 * the overlay.
 */
static __always_inline int judge_dentry(__u64 cgroup, enum hook hook, struct dentry *d, __u32 wanted)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct place at = { .cgroup = cgroup, .id = BPF_CORE_READ(d, d_sb, s_dev) };
	__u32 *rights = bpf_map_lookup_elem(&filesystems, &at);
	int verdict = -EACCES;

	if (rights ? (*rights & wanted) == wanted : task->cred != task->real_cred)
		verdict = 0;
	return tell(cgroup, hook, verdict, at.id, wanted, d);
}
