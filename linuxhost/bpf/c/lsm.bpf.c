/*
 * The verdicts in the kernel: LSM programs that judge every call of a sandbox
 * on a file, a mount, a process or a socket, and deny what no map allows.
 *
 *   cgroup of the caller --> policies: none, and not below ours: not our affair
 *                                      none, but below ours:     no
 *                                      building: yes             sealed: go on
 *   mount of the file    --> mounts:   none: no                  rights: judge
 *   namespace of a socket:             not the policy's: no
 */
#include "judge.h"

char LICENSE[] SEC("license") = "GPL";

/* ------------------------------------------------------------ open files */

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *f)
{
	SCOPE(HOOK_OPEN);
	__u32 mode = f->f_mode, wanted = 0;

	if (mode & FMODE_READ)
		wanted |= RIGHT_READ;
	if (mode & FMODE_WRITE)
		wanted |= RIGHT_WRITE;
	if (mode & FMODE_EXEC)
		wanted |= RIGHT_EXEC;
	if (wanted & RIGHT_EXEC)
		return judge_program(cgroup, HOOK_OPEN, policy, f, wanted);
	return judge_file(cgroup, HOOK_OPEN, f, wanted);
}

/* Every read and write asks again: a mount taken back stops open handles. */
SEC("lsm/file_permission")
int BPF_PROG(file_permission, struct file *f, int mask)
{
	SCOPE(HOOK_PERMISSION);
	__u32 wanted = 0;

	if (mask & MAY_READ)
		wanted |= RIGHT_READ;
	if (mask & (MAY_WRITE | MAY_APPEND))
		wanted |= RIGHT_WRITE;
	return judge_file(cgroup, HOOK_PERMISSION, f, wanted);
}

/* foreign: a socket of another network namespace. */
static __always_inline int foreign(struct policy *policy, struct sock *sk)
{
	return !sk || !policy || !policy->netns || BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) != policy->netns;
}

SEC("lsm/file_receive")
int BPF_PROG(file_receive, struct file *f)
{
	SCOPE(HOOK_RECEIVE);
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	struct socket *s = BPF_CORE_READ(f, private_data);

	/* A socket of somebody else's network would be a way out. */
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFSOCK && BPF_CORE_READ(inode, i_sb, s_magic) == SOCKFS_MAGIC &&
	    foreign(policy, BPF_CORE_READ(s, sk)))
		return tell(cgroup, HOOK_RECEIVE, -EACCES, 0, 0, 0);
	return judge_file(cgroup, HOOK_RECEIVE, f, 0);
}

SEC("lsm/mmap_file")
int BPF_PROG(mmap_file, struct file *f, unsigned long reqprot, unsigned long prot, unsigned long flags)
{
	SCOPE(HOOK_MMAP);
	if (!f) /* anonymous memory */
		return 0;
	if (prot & PROT_EXEC)
		return judge_program(cgroup, HOOK_MMAP, policy, f, RIGHT_EXEC);
	return judge_file(cgroup, HOOK_MMAP, f, RIGHT_READ);
}

SEC("lsm/file_mprotect")
int BPF_PROG(file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
{
	SCOPE(HOOK_MPROTECT);
	struct file *f = vma->vm_file;

	if (!f || !(prot & PROT_EXEC))
		return 0;
	return judge_program(cgroup, HOOK_MPROTECT, policy, f, RIGHT_EXEC);
}

static __always_inline int judge_ioctl(__u64 cgroup, struct file *f, unsigned int cmd)
{
	/* Pushing characters into a terminal: CVE-2017-5226. */
	if (cmd == TIOCSTI || cmd == TIOCLINUX)
		return tell(cgroup, HOOK_IOCTL, -EPERM, cmd, 0, 0);
	return judge_file(cgroup, HOOK_IOCTL, f, 0);
}

SEC("lsm/file_ioctl")
int BPF_PROG(file_ioctl, struct file *f, unsigned int cmd, unsigned long arg)
{
	SCOPE(HOOK_IOCTL);
	return judge_ioctl(cgroup, f, cmd);
}

SEC("lsm/file_ioctl_compat")
int BPF_PROG(file_ioctl_compat, struct file *f, unsigned int cmd, unsigned long arg)
{
	SCOPE(HOOK_IOCTL);
	return judge_ioctl(cgroup, f, cmd);
}

SEC("lsm/file_lock")
int BPF_PROG(file_lock, struct file *f, unsigned int cmd)
{
	SCOPE(HOOK_LOCK);
	return judge_file(cgroup, HOOK_LOCK, f, 0);
}

SEC("lsm/file_fcntl")
int BPF_PROG(file_fcntl, struct file *f, unsigned int cmd, unsigned long arg)
{
	SCOPE(HOOK_FCNTL);
	return judge_file(cgroup, HOOK_FCNTL, f, 0);
}

SEC("lsm/file_truncate")
int BPF_PROG(file_truncate, struct file *f)
{
	SCOPE(HOOK_TRUNCATE);
	return judge_file(cgroup, HOOK_TRUNCATE, f, RIGHT_WRITE);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(bprm_check, struct linux_binprm *bprm)
{
	SCOPE(HOOK_EXEC);
	return judge_program(cgroup, HOOK_EXEC, policy, bprm->file, RIGHT_EXEC);
}

/* ----------------------------------------------------------------- paths */

SEC("lsm/inode_getattr")
int BPF_PROG(inode_getattr, const struct path *p)
{
	SCOPE(HOOK_GETATTR);
	return judge_path(cgroup, HOOK_GETATTR, p, BPF_CORE_READ(p, dentry), RIGHT_READ);
}

SEC("lsm/path_truncate")
int BPF_PROG(path_truncate, const struct path *p)
{
	SCOPE(HOOK_TRUNCATE);
	return judge_path(cgroup, HOOK_TRUNCATE, p, BPF_CORE_READ(p, dentry), RIGHT_WRITE);
}

/* Files, FIFOs and sockets may be made; devices may not. */
SEC("lsm/path_mknod")
int BPF_PROG(path_mknod, const struct path *dir, struct dentry *d, unsigned short mode, unsigned int dev)
{
	SCOPE(HOOK_CREATE);
	__u32 kind = mode & S_IFMT;

	if (kind && kind != S_IFREG && kind != S_IFIFO && kind != S_IFSOCK)
		return tell(cgroup, HOOK_CREATE, -EPERM, dev, kind, d);
	return judge_path(cgroup, HOOK_CREATE, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_unlink")
int BPF_PROG(path_unlink, const struct path *dir, struct dentry *d)
{
	SCOPE(HOOK_UNLINK);
	return judge_path(cgroup, HOOK_UNLINK, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_mkdir")
int BPF_PROG(path_mkdir, const struct path *dir, struct dentry *d, unsigned short mode)
{
	SCOPE(HOOK_MKDIR);
	return judge_path(cgroup, HOOK_MKDIR, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_rmdir")
int BPF_PROG(path_rmdir, const struct path *dir, struct dentry *d)
{
	SCOPE(HOOK_RMDIR);
	return judge_path(cgroup, HOOK_RMDIR, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_symlink")
int BPF_PROG(path_symlink, const struct path *dir, struct dentry *d, const char *old)
{
	SCOPE(HOOK_SYMLINK);
	return judge_path(cgroup, HOOK_SYMLINK, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_link")
int BPF_PROG(path_link, struct dentry *old, const struct path *dir, struct dentry *d)
{
	SCOPE(HOOK_LINK);
	return judge_path(cgroup, HOOK_LINK, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_rename")
int BPF_PROG(path_rename, const struct path *old_dir, struct dentry *old, const struct path *dir, struct dentry *d)
{
	SCOPE(HOOK_RENAME);
	int verdict = judge_path(cgroup, HOOK_RENAME, old_dir, old, RIGHT_WRITE);

	if (verdict)
		return verdict;
	return judge_path(cgroup, HOOK_RENAME, dir, d, RIGHT_WRITE);
}

SEC("lsm/path_chmod")
int BPF_PROG(path_chmod, const struct path *p, unsigned short mode)
{
	SCOPE(HOOK_CHMOD);
	return judge_path(cgroup, HOOK_CHMOD, p, BPF_CORE_READ(p, dentry), RIGHT_WRITE);
}

SEC("lsm/path_chown")
int BPF_PROG(path_chown, const struct path *p)
{
	SCOPE(HOOK_CHOWN);
	return judge_path(cgroup, HOOK_CHOWN, p, BPF_CORE_READ(p, dentry), RIGHT_WRITE);
}

SEC("lsm/path_chroot")
int BPF_PROG(path_chroot, const struct path *p)
{
	SCOPE(HOOK_CHROOT);
	return tell(cgroup, HOOK_CHROOT, -EPERM, 0, 0, BPF_CORE_READ(p, dentry));
}

/* ------------------------------------------- attributes, told no mount */

SEC("lsm/inode_setattr")
int inode_setattr(unsigned long long *args)
{
	SCOPE(HOOK_SETATTR);
	/* Both are read, each at a place that the verifier can check. */
	unsigned long long first = *(volatile unsigned long long *)&args[0];
	unsigned long long second = *(volatile unsigned long long *)&args[1];
	struct dentry *d = (struct dentry *)(setattr_dentry ? second : first);

	return judge_dentry(cgroup, HOOK_SETATTR, d, RIGHT_WRITE);
}

SEC("lsm/inode_setxattr")
int inode_setxattr(unsigned long long *args)
{
	SCOPE(HOOK_XATTR);
	return judge_dentry(cgroup, HOOK_XATTR, (struct dentry *)args[1], RIGHT_WRITE);
}

SEC("lsm/inode_removexattr")
int inode_removexattr(unsigned long long *args)
{
	SCOPE(HOOK_XATTR);
	return judge_dentry(cgroup, HOOK_XATTR, (struct dentry *)args[1], RIGHT_WRITE);
}

SEC("lsm/inode_set_acl")
int inode_set_acl(unsigned long long *args)
{
	SCOPE(HOOK_XATTR);
	return judge_dentry(cgroup, HOOK_XATTR, (struct dentry *)args[1], RIGHT_WRITE);
}

SEC("lsm/inode_remove_acl")
int inode_remove_acl(unsigned long long *args)
{
	SCOPE(HOOK_XATTR);
	return judge_dentry(cgroup, HOOK_XATTR, (struct dentry *)args[1], RIGHT_WRITE);
}

/* ------------------------------------- mounts, processes, the kernel itself */

/* NEVER is a program for what no tenant may do. */
#define NEVER(lsm_hook, number)                                                \
	SEC("lsm/" #lsm_hook)                                                  \
	int lsm_hook(unsigned long long *args)                                 \
	{                                                                      \
		SCOPE(number);                                              \
		return tell(cgroup, number, -EPERM, 0, 0, 0);                  \
	}

NEVER(sb_mount, HOOK_MOUNT)
NEVER(move_mount, HOOK_MOVE_MOUNT)
NEVER(sb_umount, HOOK_UMOUNT)
NEVER(sb_remount, HOOK_REMOUNT)
NEVER(sb_pivotroot, HOOK_PIVOT_ROOT)
NEVER(bpf, HOOK_BPF)
NEVER(userns_create, HOOK_USERNS)

/* A process may look into those of its own sandbox, as far as the kernel lets it. */
static __always_inline int judge_task(__u64 cgroup, struct task_struct *other)
{
	__u64 theirs = BPF_CORE_READ(other, cgroups, dfl_cgrp, kn, id);

	return tell(cgroup, HOOK_PTRACE, theirs == cgroup ? 0 : -EPERM, theirs, 0, 0);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(ptrace_access_check, struct task_struct *child, unsigned int mode)
{
	SCOPE(HOOK_PTRACE);
	return judge_task(cgroup, child);
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(ptrace_traceme, struct task_struct *parent)
{
	SCOPE(HOOK_PTRACE);
	return judge_task(cgroup, parent);
}

/* --------------------------------------------------------------- sockets */

static __always_inline int harmless_family(int family, int type, int protocol)
{
	type &= 0xf;
	switch (family) {
	case AF_UNIX:
		return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET;
	case AF_INET:
	case AF_INET6:
		return type == SOCK_STREAM || type == SOCK_DGRAM;
	case AF_NETLINK:
		return protocol == NETLINK_ROUTE;
	}
	return 0;
}

SEC("lsm/socket_create")
int BPF_PROG(socket_create, int family, int type, int protocol, int kern)
{
	SCOPE(HOOK_SOCKET);
	if (kern)
		return 0;
	return tell(cgroup, HOOK_SOCKET, harmless_family(family, type, protocol) ? 0 : -EPERM, family, type, 0);
}

/* judge_socket: calls on sockets of the sandbox's own network only. */
static __always_inline int judge_socket(__u64 cgroup, struct policy *policy, enum hook hook, struct socket *s, struct sockaddr *to)
{
	int verdict = foreign(policy, BPF_CORE_READ(s, sk)) ? -EACCES : 0;

	if (!wants_report(cgroup, verdict))
		return verdict;
	struct event *e = new_event(cgroup, hook, verdict);
	if (!e)
		return verdict;
	e->family = BPF_CORE_READ(s, sk, __sk_common.skc_family);
	if (to) {
		/* The longest that is read: sockaddr_in6 up to the address. */
		__u8 raw[24] = {};
		bpf_probe_read_kernel(raw, sizeof(raw), to);
		e->port = (__u32)raw[2] << 8 | raw[3];
		if (e->family == AF_INET6)
			__builtin_memcpy(e->address, raw + 8, 16);
		else if (e->family == AF_INET)
			__builtin_memcpy(e->address, raw + 4, 4);
		else
			e->port = 0;
	}
	bpf_ringbuf_submit(e, 0);
	return verdict;
}

SEC("lsm/socket_bind")
int BPF_PROG(socket_bind, struct socket *s, struct sockaddr *address, int len)
{
	SCOPE(HOOK_BIND);
	return judge_socket(cgroup, policy, HOOK_BIND, s, address);
}

SEC("lsm/socket_connect")
int BPF_PROG(socket_connect, struct socket *s, struct sockaddr *address, int len)
{
	SCOPE(HOOK_CONNECT);
	return judge_socket(cgroup, policy, HOOK_CONNECT, s, address);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(socket_sendmsg, struct socket *s, struct msghdr *m, int size)
{
	SCOPE(HOOK_SENDMSG);
	/* A unix socket is judged when it is connected, or received: the wire
	 * between our init and its launcher was made outside. */
	if (BPF_CORE_READ(s, sk, __sk_common.skc_family) == AF_UNIX)
		return 0;
	return judge_socket(cgroup, policy, HOOK_SENDMSG, s, 0);
}

SEC("lsm/socket_listen")
int BPF_PROG(socket_listen, struct socket *s, int backlog)
{
	SCOPE(HOOK_LISTEN);
	return judge_socket(cgroup, policy, HOOK_LISTEN, s, 0);
}

SEC("lsm/socket_accept")
int BPF_PROG(socket_accept, struct socket *s, struct socket *fresh)
{
	SCOPE(HOOK_ACCEPT);
	return judge_socket(cgroup, policy, HOOK_ACCEPT, s, 0);
}

/* A socket file in a shared folder may be a host's: its other end is not ours. */
SEC("lsm/unix_stream_connect")
int BPF_PROG(unix_stream_connect, struct sock *s, struct sock *other, struct sock *fresh)
{
	SCOPE(HOOK_UNIX_CONNECT);
	return tell(cgroup, HOOK_UNIX_CONNECT, foreign(policy, other) ? -EACCES : 0, 0, 0, 0);
}

SEC("lsm/unix_may_send")
int BPF_PROG(unix_may_send, struct socket *s, struct socket *other)
{
	SCOPE(HOOK_UNIX_SEND);
	return tell(cgroup, HOOK_UNIX_SEND, foreign(policy, BPF_CORE_READ(other, sk)) ? -EACCES : 0, 0, 0, 0);
}
