package rootless

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/ownids"
)

// StageName is the hidden subcommand of the process that waits for its ids.
const StageName = "rootless-stage"

// holdFD is the pipe that both stages of the inner process keep: its other end
// closes when the outer process ends.
const holdFD = 3

// Needed says whether this process must be started again in a namespace.
func Needed() bool { return os.Geteuid() != 0 }

// Run starts this program again, with the same arguments, in its namespaces, and
// returns when it has ended. The end of ctx asks it to end.
func Run(ctx context.Context, log *slog.Logger) error {
	runtime.LockOSThread() // the inner process is killed when the thread that made it ends
	defer runtime.UnlockOSThread()
	inner, hold, err := clone()
	if err != nil {
		return err
	}
	defer hold.Close()
	p := makePlan()
	err = p.apply(inner.Process.Pid)
	if err == nil {
		_, err = hold.Write([]byte{1})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("user namespace: %w", err), inner.Process.Kill(), ended(inner.Wait()))
	}
	if p.whyOnlyOne != nil {
		log.Warn("apps have one id only, yours", "reason", p.whyOnlyOne)
	}
	stop := context.AfterFunc(ctx, func() {
		//nolint:errcheck // it may have ended
		inner.Process.Signal(unix.SIGTERM)
	})
	defer stop()
	if err := inner.Wait(); err != nil {
		return fmt.Errorf("agent in its user namespace: %w", err)
	}
	return nil
}

// ended drops the news that a process which was killed was killed.
func ended(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func clone() (inner *exec.Cmd, hold *os.File, err error) {
	theirs, hold, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	inner = &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{os.Args[0], StageName}, os.Args[1:]...),
		Env:   append(os.Environ(), ownids.UserEnv+"=1"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			Pdeathsig:  unix.SIGKILL, // of the stage; the agent has the pipe
			Setpgid:    true,         // a Ctrl-C comes through us, once
		},
	}
	if err := inner.Start(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("user namespace: %w%s", err, hintFor(err)), hold.Close())
	}
	return inner, hold, nil
}

// hintFor says what to do where the system keeps users from namespaces.
func hintFor(err error) string {
	knob := func(name, bad string) bool {
		raw, err := os.ReadFile("/proc/sys/" + name)
		return err == nil && len(raw) > 0 && string(raw[:1]) == bad
	}
	switch {
	case knob("kernel/unprivileged_userns_clone", "0"):
		return " (sysctl kernel.unprivileged_userns_clone=1 allows it)"
	case knob("user/max_user_namespaces", "0"):
		return " (sysctl user.max_user_namespaces=10000 allows it)"
	case knob("kernel/apparmor_restrict_unprivileged_userns", "1"):
		return " (AppArmor restricts it: install the profile packaging/apparmor/consentry, or sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (a policy of this system forbids it to users: start the agent as root instead)"
	}
	return ""
}

// Stage waits until the ids are there and becomes the agent. It returns only on
// an error.
func Stage(args []string) error {
	var word [1]byte
	n, err := unix.Read(holdFD, word[:])
	if err != nil || n != 1 {
		return fmt.Errorf("%s: nobody gave ids: %w", StageName, errors.Join(err, os.ErrInvalid))
	}
	err = unix.Exec("/proc/self/exe", append([]string{os.Args[0]}, args...), os.Environ())
	return fmt.Errorf("%s: %w", StageName, err)
}

// Attach ties the inner agent to the outer process: the result ends when that
// does. It is ctx itself in a process that is not inside.
func Attach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if os.Getenv(ownids.UserEnv) == "" || os.Geteuid() != 0 {
		return ctx, cancel
	}
	unix.CloseOnExec(holdFD)
	go func() { // ends with this process, or with the outer one
		var word [1]byte
		for {
			n, err := unix.Read(holdFD, word[:])
			if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}
