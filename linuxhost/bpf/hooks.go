package bpf

// Hook is where in the kernel a call was judged; the numbers are those of enum
// hook in c/policy.h.
type Hook uint16

// The hooks.
const (
	HookCgroupSocket Hook = iota + 1
	HookCgroupConnect
	HookCgroupSendmsg
	HookCgroupBind
	HookCgroupDevice
	HookCgroupSysctl
)

const (
	HookOpen Hook = iota + 16
	HookPermission
	HookReceive
	HookMmap
	HookMprotect
	HookIoctl
	HookLock
	HookFcntl
	HookTruncate
	HookExec
	HookGetattr
	HookSetattr
	HookXattr
	HookCreate
	HookUnlink
	HookMkdir
	HookRmdir
	HookSymlink
	HookLink
	HookRename
	HookChmod
	HookChown
	HookChroot
	HookMount
	HookMoveMount
	HookUmount
	HookRemount
	HookPivotRoot
	HookPtrace
	HookBPF
	HookUserns
	HookSocket
	HookBind
	HookConnect
	HookSendmsg
	HookListen
	HookAccept
	HookUnixConnect
	HookUnixSend
)

// hookNames are the words that people see.
var hookNames = map[Hook]string{
	HookCgroupSocket: "socket", HookCgroupConnect: "connect", HookCgroupSendmsg: "sendmsg",
	HookCgroupBind: "bind", HookCgroupDevice: "device", HookCgroupSysctl: "sysctl",
	HookOpen: "open", HookPermission: "read/write", HookReceive: "receive", HookMmap: "mmap", HookMprotect: "mprotect",
	HookIoctl: "ioctl", HookLock: "lock", HookFcntl: "fcntl", HookTruncate: "truncate", HookExec: "exec",
	HookGetattr: "stat", HookSetattr: "setattr", HookXattr: "xattr", HookCreate: "create", HookUnlink: "unlink",
	HookMkdir: "mkdir", HookRmdir: "rmdir", HookSymlink: "symlink", HookLink: "link", HookRename: "rename",
	HookChmod: "chmod", HookChown: "chown", HookChroot: "chroot", HookMount: "mount", HookMoveMount: "move_mount",
	HookUmount: "umount", HookRemount: "remount", HookPivotRoot: "pivot_root", HookPtrace: "ptrace", HookBPF: "bpf",
	HookUserns: "userns", HookSocket: "socket", HookBind: "bind", HookConnect: "connect", HookSendmsg: "sendmsg",
	HookListen: "listen", HookAccept: "accept", HookUnixConnect: "unix connect", HookUnixSend: "unix send",
}

// String is the hook's name, "" for a number that is none.
func (h Hook) String() string { return hookNames[h] }

// Line is the set of programs a hook belongs to.
func (h Hook) Line() string {
	if h < HookOpen {
		return "cgroup"
	}
	return "lsm"
}
