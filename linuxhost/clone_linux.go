package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox/wire"
)

const (
	// selfExe reaches our own program whatever folders lie above it and
	// whoever may search them: init runs as an id that owns nothing there.
	selfExe  = "/proc/self/exe"
	selfName = "consentry"
)

// namespaces are the namespaces of a sandbox.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// initProcess is the launcher's hold on PID 1 of the sandbox.
type initProcess struct {
	cmd   *exec.Cmd
	peer  *wire.Peer
	ended chan struct{} // closed when the process and with it the sandbox is gone
}

// cloneInit starts init inside g and new namespaces. It must run on a thread
// that never ends: init gets SIGKILL when the thread does.
func cloneInit(g *cgroup, span idSpan, complaints io.Writer) (*initProcess, error) {
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := initCommand(span, theirs, complaints)
	unified, err := g.v2()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cgroup: %w", err), conn.Close())
	}
	if unified != nil {
		defer unified.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(unified.Fd())
	}
	leave, err := g.enter()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	startErr := cmd.Start()
	if err := leave(); err != nil {
		startErr = errors.Join(startErr, fmt.Errorf("leave cgroup: %w", err))
	}
	if startErr != nil {
		if cmd.Process != nil {
			startErr = errors.Join(startErr, cmd.Process.Kill(), cmd.Wait())
		}
		return nil, errors.Join(fmt.Errorf("clone sandbox: %w", startErr), conn.Close())
	}
	return watchInit(cmd, conn), nil
}

func initCommand(span idSpan, wireEnd *os.File, complaints io.Writer) *exec.Cmd {
	ids := span.maps()
	return &exec.Cmd{
		Path: selfExe,
		Args: []string{selfName, initName},
		// The run time would keep a file of the host's cgroups open, to follow
		// its CPU limit.
		Env:        []string{"GOMAXPROCS=1", "GOTRACEBACK=single", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"},
		Dir:        "/",
		Stderr:     complaints,
		ExtraFiles: []*os.File{wireEnd},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:                 namespaces,
			UidMappings:                ids,
			GidMappings:                ids,
			GidMappingsEnableSetgroups: !span.alone(),
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: span.alone()},
			Setsid:                     true,
			Pdeathsig:                  unix.SIGKILL,
		},
	}
}

func watchInit(cmd *exec.Cmd, conn *fdwire.Conn) *initProcess {
	p := &initProcess{cmd: cmd, peer: wire.New(conn, nil), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		//nolint:errcheck // the end of the connection is no news: init has gone
		p.peer.Serve(context.Background())
		p.kill()
		//nolint:errcheck // how init ended does not matter, that it did does
		cmd.Wait()
	}()
	return p
}

// kill ends the sandbox. PID 1 takes all others with it, and Wait returns
// after the last of them.
func (p *initProcess) kill() {
	//nolint:errcheck // it may have ended
	p.cmd.Process.Kill()
}

func (p *initProcess) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *initProcess) pid() int { return p.cmd.Process.Pid }

// idsFile opens init's user namespace, which says how the image's ids map.
func (p *initProcess) idsFile() (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.pid()))
	if err != nil {
		return nil, fmt.Errorf("user namespace: %w", err)
	}
	return f, nil
}
