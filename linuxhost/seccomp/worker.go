package seccomp

// protExec is the bit of mmap and mprotect that makes memory runnable.
const protExec = 4

// Worker is the table for a process of ours that reads hostile bytes: a Go
// program that lives on descriptors it was given. It can make no socket, no
// process and no program. With compiles it may make memory runnable, which
// wazero's compiler needs.
func Worker(compiles bool) Policy {
	memory := Rule{Cases: []Case{{[]Test{{Arg: 2, Mask: protExec, Value: 0}}, Allow}}, Else: Refuse}
	if compiles {
		memory = Rule{Else: Allow}
	}
	return Policy{
		allow("descriptors it was given or passed, sockets among them",
			"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "close",
			"recvmsg", "sendmsg", "recvfrom", "sendto", "recvmmsg", "sendmmsg", "shutdown", "splice",
			"getsockname", "getpeername", "getsockopt", "setsockopt",
			"fstat", "fcntl", "dup", "dup3", "fsync", "fdatasync", "ftruncate", "flock", "pipe2"),
		allow("files below the folders that Landlock leaves",
			"open", "openat", "newfstatat", "statx", "getdents64", "readlinkat", "fstatfs",
			"faccessat", "faccessat2", "mkdirat", "unlinkat", "renameat", "renameat2", "linkat", "symlinkat",
			"fchmod", "fchmodat", "utimensat", "fallocate", "getcwd"),
		goRuntime,
		{"runnable memory only for a compiler", []string{"mmap", "mprotect"}, memory},
		onlyThreads,
		{"kinds of terminal and sockets are asked for, a tap is set up; nothing else", []string{"ioctl"}, Rule{
			Cases: []Case{
				{[]Test{is(1, ioctlTCGETS)}, Allow},
				{[]Test{is(1, ioctlFIONREAD)}, Allow},
				{[]Test{is(1, ioctlTUNGETIFF)}, Allow},
				{[]Test{is(1, ioctlTUNSETOFFLOAD)}, Allow},
				{[]Test{is(1, ioctlTUNSETVNETHDRSZ)}, Allow},
			},
			Else: Refuse,
		}},
		refuse("sockets of its own",
			"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"),
		noPrograms,
	}
}

// What every confined Go program of ours has.
var (
	goRuntime = allow("the Go run time: memory, threads, waiting, time, signals to itself",
		"brk", "munmap", "mremap", "madvise", "mincore", "futex", "sched_yield", "sched_getaffinity",
		"nanosleep", "clock_gettime", "clock_nanosleep", "gettimeofday",
		"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "ppoll", "poll", "pselect6", "select",
		"timer_create", "timer_settime", "timer_delete", "setitimer",
		"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill",
		"gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "exit", "exit_group", "restart_syscall",
		"set_tid_address", "set_robust_list", "rseq", "arch_prctl", "membarrier",
		"getrandom", "uname", "getrlimit", "prlimit64", "sysinfo", "getrusage")
	onlyThreads = Group{"threads, not processes", []string{"clone"}, Rule{
		Cases: []Case{{[]Test{{Arg: 0, Mask: cloneThread | newNamespaces, Value: cloneThread}}, Allow}},
		Else:  Refuse,
	}}
	noPrograms = refuse("other programs and processes",
		"execve", "execveat", "fork", "vfork", "kill", "tkill", "ptrace", "process_vm_readv", "process_vm_writev",
		"pidfd_open", "pidfd_getfd", "pidfd_send_signal", "prctl", "setns", "unshare")
)

const (
	cloneThread   = 0x00010000
	ioctlTCGETS   = 0x5401
	ioctlFIONREAD = 0x541B

	// Of a tap that the worker was handed; none of them makes one.
	ioctlTUNGETIFF       = 0x800454d2
	ioctlTUNSETOFFLOAD   = 0x400454d0
	ioctlTUNSETVNETHDRSZ = 0x400454d8
)
