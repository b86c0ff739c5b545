package linuxhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// Exit codes for a program that never ran, as docker has them.
const (
	exitNotRunnable = 126
	exitNotFound    = 127
)

// child is a process that init started for the agent.
type child struct {
	pid   int
	ended chan struct{}
	exit  sandbox.Exit
}

// children are the processes init was asked for. It also reaps every orphan of
// the sandbox. When the app ends, all others are killed, nothing more is started,
// and the app counts as ended once init is alone.
type children struct {
	sigchld chan os.Signal
	births  chan func() // runs on the one thread that starts processes
	oneID   bool        // set before the first is started

	mu       sync.Mutex // held from fork to registration, so that no end is missed
	last     int
	app      *child // the first; nil before it
	over     bool   // it has been reaped
	byNumber map[int]*child
	byPID    map[int]*child
}

var errOver = fmt.Errorf("%w: the app has ended", sandbox.ErrUnavailable)

func newChildren() *children {
	c := &children{sigchld: make(chan os.Signal, 1), births: make(chan func()), byNumber: map[int]*child{}, byPID: map[int]*child{}}
	signal.Notify(c.sigchld, unix.SIGCHLD)
	return c
}

// bear runs what onBirthThread is given until it is over, on the main thread: what
// /proc shows of init is then of the thread that starts processes.
func (c *children) bear(over <-chan struct{}) {
	for {
		select {
		case f := <-c.births:
			f()
		case <-over:
			return
		}
	}
}

// onBirthThread runs f on the thread that starts processes. What f does to the
// thread, every process started later inherits.
func (c *children) onBirthThread(f func() error) (err error) {
	done := make(chan struct{})
	c.births <- func() {
		err = f()
		close(done)
	}
	<-done
	return err
}

// reap collects the dead for as long as init lives.
func (c *children) reap() {
	for range c.sigchld {
		for c.reapOne() {
		}
	}
}

func (c *children) reapOne() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if errors.Is(err, unix.EINTR) {
		return true
	}
	if errors.Is(err, unix.ECHILD) && c.over {
		c.alone()
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ours := c.byPID[pid]; ours != nil {
		delete(c.byPID, pid)
		ours.exit = exitOf(status)
		if ours == c.app {
			c.end()
		} else {
			close(ours.ended)
		}
	}
	return true
}

// end kills what the app has left. A process that is being forked meanwhile is
// not missed: the kernel gives up a fork of a process that was sent a SIGKILL.
// The caller holds the lock, so that nothing of ours is being started.
func (c *children) end() {
	c.over = true
	//nolint:errcheck // ESRCH: there is nobody
	unix.Kill(-1, unix.SIGKILL)
}

// alone is called when init has no child left: every process of the sandbox was
// one, or has become one.
func (c *children) alone() {
	select {
	case <-c.app.ended:
	default:
		close(c.app.ended)
	}
}

func exitOf(status unix.WaitStatus) sandbox.Exit {
	if status.Signaled() {
		return sandbox.Exit{Code: 128 + int(status.Signal())}
	}
	return sandbox.Exit{Code: status.ExitStatus()}
}

// find returns the process with a number of ours.
func (c *children) find(number int) (*child, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.byNumber[number]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: no process %d", sandbox.ErrInvalid, number)
}

func (c *children) start(path string, p sandbox.Process, attr *syscall.ProcAttr) (number, pid int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return 0, 0, errOver
	}
	err = c.onBirthThread(func() (err error) {
		pid, err = syscall.ForkExec(path, p.Args, attr)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	c.last++
	started := &child{pid: pid, ended: make(chan struct{})}
	c.byNumber[c.last], c.byPID[pid] = started, started
	if c.last == appProcess {
		c.app = started
	}
	return c.last, pid, nil
}

// run starts a process: as the user of the image, in a session of its own,
// with the walls init itself stands behind.
func (i *sandboxInit) run(body json.RawMessage, files []*os.File) (wire.Reply, error) {
	var call runCall
	if err := decode(body, &call); err != nil {
		fdwire.CloseAll(files)
		return wire.Reply{}, err
	}
	stdio, err := call.Attached.detach(3, files)
	if err != nil {
		return wire.Reply{}, err
	}
	defer closeSet(stdio)
	i.mu.Lock()
	built := i.built
	i.mu.Unlock()
	if !built || len(call.Process.Args) == 0 {
		return wire.Reply{}, fmt.Errorf("%w: nothing to run, or too early", sandbox.ErrInvalid)
	}
	var master *os.File
	if call.Process.Terminal {
		if master, stdio, err = openTerminal(call.Process); err != nil {
			return wire.Reply{}, fmt.Errorf("terminal: %w", err)
		}
		defer closeSet(stdio[:1]) // the three are one
	}
	reply, err := i.children.launch(call.Process, stdio)
	if err != nil || reply.Failed != nil || master == nil {
		return wire.Reply{Body: reply}, errors.Join(err, closeIf(master))
	}
	return wire.Reply{Body: reply, Files: []*os.File{master}}, nil
}

func (c *children) launch(p sandbox.Process, stdio []*os.File) (runReply, error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return runReply{}, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: dirOf(p),
		Env: p.Env,
		Sys: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: p.User.UID, Gid: p.User.GID, Groups: p.User.Groups, NoSetGroups: c.oneID},
			Setsid:     true,
			Setctty:    p.Terminal,
		},
	}
	for _, f := range stdio {
		if f == nil {
			f = null
		}
		attr.Files = append(attr.Files, f.Fd())
	}
	path, err := lookUp(p)
	if err != nil {
		return neverRan(p, err), nil
	}
	number, pid, err := c.start(path, p, attr)
	if errors.Is(err, errOver) {
		return runReply{}, err
	}
	if err != nil {
		return neverRan(p, err), nil
	}
	return runReply{Number: number, PID: pid}, nil
}

func neverRan(p sandbox.Process, err error) runReply {
	code := exitNotRunnable
	if errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	reason := fmt.Sprintf("start %q: %v", p.Args[0], err)
	return runReply{Failed: &sandbox.Exit{Code: code, Reason: reason}}
}

func dirOf(p sandbox.Process) string {
	if p.Dir == "" {
		return "/"
	}
	return p.Dir
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookUp finds the program as a shell inside would.
func lookUp(p sandbox.Process) (string, error) {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dirOf(p), name)
		}
		return name, nil
	}
	path := defaultPath
	for _, kv := range p.Env {
		if value, found := strings.CutPrefix(kv, "PATH="); found {
			path = value
		}
	}
	var refused error
	for dir := range strings.SplitSeq(path, ":") {
		candidate := filepath.Join(dirOf(p), dir, name)
		if filepath.IsAbs(dir) {
			candidate = filepath.Join(dir, name)
		}
		info, err := os.Stat(candidate)
		switch {
		case err != nil:
		case info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			return candidate, nil
		case refused == nil:
			refused = fmt.Errorf("%s is no program: %w", candidate, fs.ErrPermission)
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", fmt.Errorf("not in PATH %s: %w", path, fs.ErrNotExist)
}

func (i *sandboxInit) wait(ctx context.Context, body json.RawMessage) (wire.Reply, error) {
	var call processCall
	if err := decode(body, &call); err != nil {
		return wire.Reply{}, err
	}
	process, err := i.children.find(call.Number)
	if err != nil {
		return wire.Reply{}, err
	}
	select {
	case <-process.ended:
		return wire.Reply{Body: process.exit}, nil
	case <-ctx.Done():
		return wire.Reply{}, ctx.Err()
	}
}

// signal holds the lock: a PID that was reaped may belong to somebody else.
func (i *sandboxInit) signal(body json.RawMessage) error {
	var call processCall
	if err := decode(body, &call); err != nil {
		return err
	}
	process, err := i.children.find(call.Number)
	if err != nil {
		return err
	}
	i.children.mu.Lock()
	defer i.children.mu.Unlock()
	if i.children.byPID[process.pid] != process {
		return nil // it has ended
	}
	if err := unix.Kill(process.pid, unix.Signal(call.Signal)); err != nil {
		return fmt.Errorf("signal %d: %w", call.Signal, err)
	}
	return nil
}

// openTerminal makes a pty inside; stdio is its slave, three times.
func openTerminal(p sandbox.Process) (master *os.File, stdio []*os.File, err error) {
	fd, err := openPtmx(int(p.User.UID))
	if err != nil {
		return nil, nil, fmt.Errorf("/dev/pts/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("unlock: %w", err), master.Close())
	}
	if p.Size.Rows > 0 && p.Size.Cols > 0 {
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: p.Size.Rows, Col: p.Size.Cols}); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("size: %w", err), master.Close())
		}
	}
	// By number through the master, not by a path that could be another's.
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errors.Join(fmt.Errorf("peer: %w", errno), master.Close())
	}
	tty := os.NewFile(slave, "tty")
	return master, []*os.File{tty, tty, tty}, nil
}

// openPtmx opens as the user, so that the terminal is the user's: init has no
// right to give it away later.
func openPtmx(uid int) (int, error) {
	runtime.LockOSThread() // the id for file access is a thread's
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(uid); err != nil {
		return -1, err
	}
	fd, err := unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	return fd, errors.Join(err, unix.Setfsuid(0))
}
