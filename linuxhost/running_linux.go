package linuxhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// run starts a further process behind the walls of the app.
func (l *launcher) run(ctx context.Context, body json.RawMessage, files []*os.File) (wire.Reply, error) {
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
	reply, err := l.runInside(ctx, call.Process, stdio)
	return wire.Reply{Body: reply}, err
}

// runInside has init start p. The ends of its standard streams stay ours to
// close; a terminal keeps duplicates of its own.
func (l *launcher) runInside(ctx context.Context, p sandbox.Process, stdio []*os.File) (runReply, error) {
	child, err := l.awake()
	if err != nil {
		return runReply{}, err
	}
	if p.User, err = l.userOf(p.User); err != nil {
		return runReply{}, err
	}
	call := runCall{Process: p}
	var send []*os.File
	if !p.Terminal {
		l.giveStreams(p.User, stdio)
		call.Attached, send = attach(stdio...)
	} else {
		call.Attached = make(attached, 3)
	}
	var reply runReply
	got, err := child.peer.Call(ctx, verbRun, call, &reply, send...)
	if err != nil {
		return runReply{}, err
	}
	if !p.Terminal || reply.Failed != nil {
		fdwire.CloseAll(got)
		return reply, nil
	}
	return reply, l.openConsole(reply.Number, got, stdio)
}

// userOf is who a process runs as that should be u; it notes a root.
func (l *launcher) userOf(u sandbox.User) (sandbox.User, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, err := l.ids.user(u)
	l.hadRoot = l.hadRoot || err == nil && u.UID == 0
	return u, err
}

// giveStreams makes the app's user the owner of pipes, as an open of
// /dev/stdout goes to the pipe's own permissions.
func (l *launcher) giveStreams(user sandbox.User, stdio []*os.File) {
	l.mu.Lock()
	span := l.ids
	l.mu.Unlock()
	for _, f := range stdio {
		var st unix.Stat_t
		if f == nil || unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Nlink != 1 {
			continue
		}
		//nolint:errcheck // only /dev/stdout by name is lost
		unix.Fchown(int(f.Fd()), span.id(user.UID), span.id(user.GID))
	}
}

// awaitApp learns how the app ended, and says so. The agent hangs up on it, and
// what the app ran in is cleared away then.
func (l *launcher) awaitApp(started runReply) {
	exit := l.appExit(started)
	l.drainConsoles()
	l.mu.Lock()
	if l.group != nil && exit.Code == 128+int(unix.SIGKILL) && l.group.oomKilled() {
		exit.OOM = true
		exit.Reason = "out of memory: the app needed more than its limit"
	}
	l.exit, l.over = exit, true
	l.mu.Unlock()
	close(l.ended)
}

// appExit returns when no process of the app is left. Init says how the app
// ended once it is alone; where it cannot say so, its own end is that of all.
func (l *launcher) appExit(started runReply) sandbox.Exit {
	if started.Failed != nil {
		return *started.Failed // nothing ever ran
	}
	lost := sandbox.Exit{Code: 128 + int(unix.SIGKILL), Reason: "the sandbox's init has ended"}
	child := l.running()
	if child == nil {
		return lost
	}
	var exit sandbox.Exit
	_, err := child.peer.Call(context.Background(), verbWait, processCall{Number: started.Number}, &exit)
	if err == nil {
		return exit
	}
	child.kill()
	<-child.ended
	return lost
}

// wait answers once the process has ended; for the app, once all have.
func (l *launcher) wait(ctx context.Context, body json.RawMessage) (wire.Reply, error) {
	var call processCall
	if err := decode(body, &call); err != nil {
		return wire.Reply{}, err
	}
	if call.Number == appProcess {
		select {
		case <-l.ended:
			return wire.Reply{Body: l.exit}, nil
		case <-ctx.Done():
			return wire.Reply{}, ctx.Err()
		}
	}
	child := l.running()
	if child == nil {
		return wire.Reply{Body: sandbox.Exit{Code: 128 + int(unix.SIGKILL), Reason: "the app has ended"}}, nil
	}
	var exit sandbox.Exit
	if _, err := child.peer.Call(ctx, verbWait, call, &exit); err != nil {
		if ctx.Err() != nil {
			return wire.Reply{}, err
		}
		exit = sandbox.Exit{Code: 128 + int(unix.SIGKILL), Reason: "the app has ended"}
	}
	l.drainConsole(call.Number)
	return wire.Reply{Body: exit}, nil
}

func (l *launcher) forward(ctx context.Context, verb string, body json.RawMessage) (wire.Reply, error) {
	child, err := l.awake()
	if err != nil {
		return wire.Reply{}, err
	}
	_, err = child.peer.Call(ctx, verb, body, nil)
	return wire.Reply{}, err
}

// awake returns init where it can answer: a paused one cannot.
func (l *launcher) awake() (*initProcess, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.init == nil || l.over:
		return nil, errOver
	case l.paused:
		return nil, errPaused
	}
	return l.init, nil
}

// console copies between a terminal inside and two files outside.
type console struct {
	master, in, out *os.File
	output          sync.WaitGroup
}

// drainTime is how long output may still come after a process has ended while
// something else inside holds its terminal open.
const drainTime = 300 * time.Millisecond

func (l *launcher) openConsole(number int, masters, stdio []*os.File) error {
	if len(masters) != 1 {
		fdwire.CloseAll(masters)
		return fmt.Errorf("terminal came as %d files", len(masters))
	}
	c := &console{master: masters[0]}
	in, inErr := duplicate(stdio[0])
	out, outErr := duplicate(stdio[1])
	c.in, c.out = in, out
	if err := errors.Join(inErr, outErr); err != nil {
		c.close()
		return err
	}
	l.mu.Lock()
	l.consoles[number] = c
	l.mu.Unlock()
	if c.out != nil {
		c.output.Go(func() {
			//nolint:errcheck // EIO is how a terminal ends
			io.Copy(c.out, c.master)
		})
	}
	if c.in != nil {
		go func() { // ends when the input does, or with the console
			//nolint:errcheck // the terminal may have gone
			io.Copy(c.master, c.in)
		}()
	}
	return nil
}

// duplicate returns a descriptor of its own for f that the poller can serve,
// so that closing it wakes a reader.
func duplicate(f *os.File) (*os.File, error) {
	if f == nil {
		return nil, nil
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("terminal: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (c *console) resize(size sandbox.WindowSize) {
	if size.Rows == 0 || size.Cols == 0 {
		return
	}
	raw, err := c.master.SyscallConn()
	if err != nil {
		return
	}
	//nolint:errcheck // a terminal that has gone has no size
	raw.Control(func(fd uintptr) {
		//nolint:errcheck // as above
		unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
}

func (c *console) close() {
	closeSet([]*os.File{c.master, c.in, c.out})
}

func (l *launcher) resize(body json.RawMessage) error {
	var call processCall
	if err := decode(body, &call); err != nil {
		return err
	}
	l.mu.Lock()
	c := l.consoles[call.Number]
	l.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%w: the process has no terminal", sandbox.ErrInvalid)
	}
	c.resize(call.Size)
	return nil
}

// drainConsole lets the last output through and closes the terminal.
func (l *launcher) drainConsole(number int) {
	l.mu.Lock()
	c := l.consoles[number]
	delete(l.consoles, number)
	l.mu.Unlock()
	if c == nil {
		return
	}
	drained := make(chan struct{})
	go func() { c.output.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(drainTime):
	}
	c.close()
	<-drained
}

func (l *launcher) drainConsoles() {
	l.mu.Lock()
	var numbers []int
	for n := range l.consoles {
		numbers = append(numbers, n)
	}
	l.mu.Unlock()
	for _, n := range numbers {
		l.drainConsole(n)
	}
}
