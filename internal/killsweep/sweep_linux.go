package killsweep

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Effects are the system calls that are counted, and their names.
var Effects = map[int32]string{
	unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_PIVOT_ROOT: "pivot_root", unix.SYS_MOVE_MOUNT: "move_mount",
	unix.SYS_OPEN_TREE: "open_tree", unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_FSMOUNT: "fsmount",
	unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns", unix.SYS_CLONE3: "clone3", unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execveat",
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
	unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_FTRUNCATE: "ftruncate",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_BIND: "bind", unix.SYS_BPF: "bpf",
}

// notification and response are struct seccomp_notif and seccomp_notif_resp of
// linux/seccomp.h.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

const listenerFile = 3 // of the program to be, where it hands its listener over

// Main is the program that puts itself under the filter and becomes the one
// that args name. It returns only if that fails.
func Main(args []string) error {
	runtime.LockOSThread() // exec keeps the filter of the thread that calls it
	listener, err := install()
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if err := unix.Sendmsg(listenerFile, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	unix.CloseOnExec(listener)
	unix.CloseOnExec(listenerFile)
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return unix.Exec(path, args, os.Environ())
}

func install() (listener int, err error) {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the call
	for nr := range Effects {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(nr)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// Sweep is one run of a program.
type Sweep struct {
	listener int
	pid      int
	gone     chan struct{}

	mu    sync.Mutex
	count int // effects seen since Begin; -1 before
	at    int // the one to kill at; 0: none
	Last  string
}

// Start starts cmd, whose program calls Main, and takes over its listener.
// pid is that of the program when it runs.
func Start(cmd *exec.Cmd) (*Sweep, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "listener")
	ours, err := net.FileConn(os.NewFile(uintptr(pair[0]), "listener"))
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, err
	}
	one, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	if err := ours.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	_, n, _, _, err := ours.(*net.UnixConn).ReadMsgUnix(one, rights)
	if err != nil {
		return nil, fmt.Errorf("no listener came: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("no listener came: %d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	s := &Sweep{listener: fds[0], pid: cmd.Process.Pid, gone: make(chan struct{}), count: -1}
	go s.serve()
	return s, nil
}

// Begin counts from here, and kills at the nth effect; 0 counts only.
func (s *Sweep) Begin(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.at = 0, n
}

// Count is how many effects there were since Begin, and whether the program was killed.
func (s *Sweep) Count() (n int, killed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.at > 0 && s.count >= s.at
}

// Wait waits until no process that came from the program is left.
func (s *Sweep) Wait(ctx context.Context) error {
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("processes are left: %w", ctx.Err())
	}
}

// serve lets every call go on, until nobody is left to make one.
func (s *Sweep) serve() {
	defer close(s.gone)
	defer unix.Close(s.listener)
	for {
		ready := []unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		switch {
		case ready[0].Revents&unix.POLLIN != 0:
			s.one()
		case ready[0].Revents&unix.POLLHUP != 0: // the filter's last process is gone
			return
		}
	}
}

func (s *Sweep) one() {
	var n notification
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return // it died meanwhile
	}
	s.mu.Lock()
	if s.count >= 0 {
		if s.count++; s.count == s.at {
			s.Last = fmt.Sprintf("%s of %s", Effects[n.nr], command(n.pid))
			//nolint:errcheck // it may have ended by itself
			unix.Kill(s.pid, unix.SIGKILL)
		}
	}
	s.mu.Unlock()
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	//nolint:errcheck // the caller may be dead
	unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
}

func command(pid uint32) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process that is gone"
	}
	return strings.TrimSpace(string(name))
}
