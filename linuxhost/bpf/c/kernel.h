/*
 * The few kernel structures that the programs read. The loader moves every
 * access to where the running kernel has the field (CO-RE), so that one object
 * serves all kernels with BTF.
 */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define KERNEL __attribute__((preserve_access_index))

#define EPERM 1
#define EACCES 13

struct qstr {
	const unsigned char *name;
} KERNEL;

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
} KERNEL;

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned short i_mode;
} KERNEL;

/* When an inode last changed, as kernels have named it. */
struct inode___611 { /* 6.11 and later */
	__s64 i_ctime_sec;
	__u32 i_ctime_nsec;
} KERNEL;

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
} KERNEL;

struct inode___66 { /* 6.6 to 6.10 */
	struct timespec64 __i_ctime;
} KERNEL;

struct inode___old {
	struct timespec64 i_ctime;
} KERNEL;

struct dentry {
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
} KERNEL;

struct vfsmount {
	struct super_block *mnt_sb;
} KERNEL;

struct mnt_namespace;

struct mount {
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	int mnt_id;
	__u64 mnt_id_unique; /* since Linux 6.8 */
} KERNEL;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} KERNEL;

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_mode;
	void *private_data;
	unsigned int f_flags;
} KERNEL;

struct linux_binprm {
	struct file *file;
} KERNEL;

struct vm_area_struct {
	struct file *vm_file;
} KERNEL;

struct kernfs_node {
	__u64 id;
} KERNEL;

struct cgroup {
	struct kernfs_node *kn;
} KERNEL;

struct css_set {
	struct cgroup *dfl_cgrp;
} KERNEL;

struct user_namespace {
	int level; /* 0 is the machine's own */
} KERNEL;

struct cred {
	struct user_namespace *user_ns;
} KERNEL;

struct task_struct {
	const struct cred *cred;
	const struct cred *real_cred;
	struct css_set *cgroups;
} KERNEL;

struct ns_common {
	unsigned int inum;
} KERNEL;

struct net {
	struct ns_common ns;
} KERNEL;

typedef struct {
	struct net *net;
} KERNEL possible_net_t;

struct sock_common {
	possible_net_t skc_net;
	unsigned short skc_family;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
} KERNEL;

struct socket {
	struct sock *sk;
} KERNEL;

struct sockaddr {
	unsigned short sa_family;
} KERNEL;

struct msghdr {
	void *msg_name;
	int msg_namelen;
} KERNEL;
