package seccomp

// Flags of clone that make a namespace. CLONE_NEWTIME (0x80) is not among
// clone's flags: there the bit belongs to the exit signal.
const newNamespaces = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000

const newTime = 0x00000080 // for unshare

// Address families and socket types.
const (
	afUnix    = 1
	afInet    = 2
	afInet6   = 10
	afNetlink = 16

	sockStream = 1
	sockDgram  = 2
	sockType   = 0xf // the rest are flags
)

const (
	ioctlTIOCSTI   = 0x5412 // types into the terminal of whoever started us (CVE-2017-5226)
	ioctlTIOCLINUX = 0x541C // pastes into a console
)

func is(arg int, value uint32) Test { return Test{Arg: arg, Value: value} }

func allow(why string, calls ...string) Group  { return Group{why, calls, Rule{Else: Allow}} }
func refuse(why string, calls ...string) Group { return Group{why, calls, Rule{Else: Refuse}} }
func absent(why string, calls ...string) Group { return Group{why, calls, Rule{Else: Unknown}} }

// App is the table for the programs of an OCI image and for the init beside
// them.
func App() Policy {
	return Policy{
		allow("files by name and by descriptor; the mount namespace decides which there are",
			"access", "faccessat", "faccessat2", "open", "openat", "openat2", "creat", "close", "close_range",
			"stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs",
			"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
			"lseek", "getdents", "getdents64", "readlink", "readlinkat", "getcwd", "chdir", "fchdir",
			"mkdir", "mkdirat", "rmdir", "link", "linkat", "unlink", "unlinkat", "symlink", "symlinkat",
			"rename", "renameat", "renameat2", "truncate", "ftruncate", "fallocate", "fadvise64", "readahead",
			"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "umask",
			"utime", "utimes", "futimesat", "utimensat", "flock", "fcntl", "dup", "dup2", "dup3",
			"sync", "fsync", "fdatasync", "syncfs", "sync_file_range",
			"copy_file_range", "sendfile", "splice", "tee", "vmsplice", "cachestat"),
		allow("a FIFO or a socket node; for a device the kernel wants a capability nobody has here",
			"mknod", "mknodat"),
		allow("extended attributes; trusted.* and security.* need capabilities",
			"getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr",
			"listxattr", "llistxattr", "flistxattr", "removexattr", "lremovexattr", "fremovexattr",
			"getxattrat", "setxattrat", "listxattrat", "removexattrat"),
		allow("memory of one's own",
			"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "process_madvise", "mincore", "msync",
			"mlock", "mlock2", "mlockall", "munlock", "munlockall", "membarrier", "memfd_create", "mseal",
			"remap_file_pages", "pkey_alloc", "pkey_free", "pkey_mprotect", "map_shadow_stack"),
		allow("processes and threads; a new program gets no new rights (no_new_privs)",
			"fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid",
			"getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid",
			"set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl", "prctl",
			"set_thread_area", "get_thread_area", "restart_syscall", "process_mrelease"),
		allow("signals; the process namespace bounds whom they reach",
			"kill", "tkill", "tgkill", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
			"rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "pause",
			"signalfd", "signalfd4", "pidfd_open", "pidfd_send_signal"),
		allow("users and groups; without capabilities these only reshuffle what one has",
			"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
			"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
			"setgroups", "capget", "capset"),
		allow("waiting, locks and timers",
			"futex", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv",
			"poll", "ppoll", "select", "pselect6",
			"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
			"eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
			"timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
			"getitimer", "setitimer", "alarm", "nanosleep", "clock_nanosleep",
			"clock_gettime", "clock_getres", "gettimeofday", "time", "times"),
		allow("limits and scheduling, within the cgroup",
			"getrlimit", "setrlimit", "prlimit64", "getrusage", "getpriority", "setpriority",
			"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getattr", "sched_setattr",
			"sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler",
			"sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval",
			"ioprio_get", "ioprio_set", "getcpu"),
		allow("pipes and System V or POSIX queues, inside the IPC namespace",
			"pipe", "pipe2", "msgctl", "msgget", "msgrcv", "msgsnd",
			"semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
			"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"),
		allow("sockets that exist already; which kinds may exist is decided below",
			"bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername",
			"getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"),
		allow("asynchronous files the old way; it opens nothing",
			"io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents"),
		allow("news about files one can see",
			"inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"),
		allow("facts about the system, and randomness",
			"uname", "sysinfo", "getrandom"),
		allow("walls of one's own: they only take away",
			"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),

		{"threads and processes, but no new namespace",
			[]string{"clone"},
			Rule{Cases: []Case{{[]Test{{Arg: 0, Mask: newNamespaces, Value: 0}}, Allow}}, Else: Refuse}},
		{"taking back what threads share, but no new namespace",
			[]string{"unshare"},
			Rule{Cases: []Case{{[]Test{{Arg: 0, Mask: newNamespaces | newTime, Value: 0}}, Allow}}, Else: Refuse}},
		{"devices are /dev's; no typing into somebody's terminal",
			[]string{"ioctl"},
			Rule{Cases: []Case{
				{[]Test{is(1, ioctlTIOCSTI)}, Refuse},
				{[]Test{is(1, ioctlTIOCLINUX)}, Refuse},
			}, Else: Allow}},
		{"the network card of the sandbox and local sockets; route reads; nothing raw, no other family",
			[]string{"socket"},
			Rule{Cases: []Case{
				{[]Test{is(0, afUnix)}, Allow},
				{[]Test{is(0, afInet), {Arg: 1, Mask: sockType, Value: sockStream}}, Allow},
				{[]Test{is(0, afInet), {Arg: 1, Mask: sockType, Value: sockDgram}}, Allow},
				{[]Test{is(0, afInet)}, Refuse},
				{[]Test{is(0, afInet6), {Arg: 1, Mask: sockType, Value: sockStream}}, Allow},
				{[]Test{is(0, afInet6), {Arg: 1, Mask: sockType, Value: sockDgram}}, Allow},
				{[]Test{is(0, afInet6)}, Refuse},
				{[]Test{is(0, afNetlink), is(2, 0)}, Allow}, // NETLINK_ROUTE; changes need a capability
				{[]Test{is(0, afNetlink)}, Refuse},
			}, Else: NoSuch}},
		{"pairs of local sockets",
			[]string{"socketpair"},
			Rule{Cases: []Case{{[]Test{is(0, afUnix)}, Allow}}, Else: NoSuch}},
		{"no other execution domain; asking for the present one is harmless",
			[]string{"personality"},
			Rule{Cases: []Case{
				{[]Test{is(0, 0)}, Allow},
				{[]Test{is(0, 0xffffffff)}, Allow},
			}, Else: Refuse}},

		absent("flags lie in memory, where a filter cannot see them: libc falls back to clone",
			"clone3"),
		absent("opens, connects and sends behind the filter's back; event libraries fall back to epoll",
			"io_uring_setup", "io_uring_enter", "io_uring_register"),
		absent("too new to be missed",
			"statmount", "listmount", "listns", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules",
			"file_getattr", "file_setattr", "rseq_slice_yield", "uprobe", "uretprobe"),

		refuse("mounts and roots make the world of the sandbox (CVE-2021-41133)",
			"mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount",
			"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
		refuse("entering another namespace", "setns"),
		refuse("files by handle, around the mount namespace (the shocker attack)",
			"open_by_handle_at", "name_to_handle_at"),
		refuse("other processes' memory and descriptors",
			"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
		refuse("programs in the kernel, counters, page faults handled by hand: where kernels break",
			"bpf", "perf_event_open", "userfaultfd", "memfd_secret"),
		refuse("the kernel's key rings know no namespaces", "keyctl", "add_key", "request_key"),
		refuse("kernel code and restarts",
			"init_module", "finit_module", "delete_module", "create_module", "get_kernel_syms", "query_module",
			"kexec_load", "kexec_file_load", "reboot"),
		refuse("clock, log, swap, quota, accounting, names and consoles of the machine",
			"settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "syslog", "swapon", "swapoff",
			"quotactl", "quotactl_fd", "acct", "sethostname", "setdomainname", "vhangup",
			"fanotify_init", "fanotify_mark", "lookup_dcookie"),
		refuse("ports and descriptor tables of the processor", "iopl", "ioperm", "modify_ldt"),
		refuse("placing memory on nodes",
			"mbind", "set_mempolicy", "set_mempolicy_home_node", "get_mempolicy", "migrate_pages", "move_pages"),
		refuse("calls of the past",
			"_sysctl", "uselib", "ustat", "sysfs", "nfsservctl", "afs_syscall", "getpmsg", "putpmsg",
			"security", "tuxcall", "vserver", "epoll_ctl_old", "epoll_wait_old"),
	}
}
