package seccomp

// The commands of bpf that raising a fence needs: maps, programs, links, pins.
var bpfCommands = []uint32{
	0, 1, 2, 3, 4, // MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY
	5, 6, 7, 15, // PROG_LOAD, OBJ_PIN, OBJ_GET, OBJ_GET_INFO_BY_FD
	17, 18, 22, 28, // RAW_TRACEPOINT_OPEN, BTF_LOAD, MAP_FREEZE, LINK_CREATE
}

// Fences is the table for consentry-bpf: a Go program with the right to load
// eBPF programs, on a socket that every user may connect to. It can make no
// socket, no process and no program, and change no file but what it pins.
func Fences() Policy {
	var cases []Case
	for _, command := range bpfCommands {
		cases = append(cases, Case{[]Test{is(0, command)}, Allow})
	}
	return Policy{
		allow("callers, and descriptors that they pass",
			"read", "write", "pread64", "lseek", "close", "recvmsg", "sendmsg", "accept4", "shutdown",
			"getsockname", "getpeername", "getsockopt", "setsockopt", "fstat", "fcntl", "pipe2"),
		allow("cgroups, the kernel's types and pins: the folders that Landlock leaves",
			"openat", "newfstatat", "statx", "getdents64", "readlinkat", "statfs", "fstatfs", "mkdirat", "unlinkat", "getcwd"),
		goRuntime,
		{"no runnable memory", []string{"mmap", "mprotect"}, Rule{
			Cases: []Case{{[]Test{{Arg: 2, Mask: protExec, Value: 0}}, Allow}}, Else: Refuse,
		}},
		onlyThreads,
		{"maps, programs, links and pins", []string{"bpf"}, Rule{Cases: cases, Else: Refuse}},
		refuse("sockets of its own", "socket", "socketpair", "connect", "bind", "listen", "accept"),
		refuse("kinds of terminal are not asked for", "ioctl"),
		noPrograms,
	}
}
