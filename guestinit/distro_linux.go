package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// Distro is this program in a WSL distro, with the arguments after
// guestwire.DistroPart.
func Distro(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: %s: want what to do", sandbox.ErrInvalid, guestwire.DistroPart)
	}
	ctx := context.Background()
	switch args[0] {
	case guestwire.DistroRunPart:
		return apart(args[1:])
	case insidePart:
		return inside(ctx, args[1:])
	case guestwire.DistroLayersPart:
		return listLayers(os.Stdout)
	case guestwire.DistroPutPart:
		return putLayer(os.Stdin, args[1:])
	case guestwire.DistroDropPart:
		return dropLayers(args[1:])
	case guestwire.DistroDigestPart:
		return printDigest(os.Stdout)
	case guestwire.DistroRenewPart:
		return renew(os.Stdin, args[1:])
	}
	return fmt.Errorf("%w: %s knows no %q", sandbox.ErrInvalid, guestwire.DistroPart, args[0])
}

// insidePart is guestwire.DistroRunPart in namespaces of its own.
const insidePart = "inside"

// apart starts this program again as the first process of a PID namespace, with
// mounts of its own: what ends it, the kernel ends all of the app with it, and
// nothing that it mounts is seen in the distro.
func apart(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // a parent's death is that of the thread
	cmd := exec.Command(self, append([]string{guestwire.DistroPart, insidePart}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(max(ended.ExitCode(), 1)) // it has said why
	}
	return err
}

// inside runs one app for the host at the other end of the standard files.
func inside(ctx context.Context, args []string) error {
	run, err := guestwire.ParseDistroRun(args)
	if err != nil {
		return err
	}
	g := &guest{run: run, shared: true}
	if g.control, err = standardFiles(); err != nil {
		return err
	}
	if err := g.setUp(ctx, distroSteps); err != nil {
		return err
	}
	go reap(ctx)
	err = g.serve(ctx)
	if errors.Is(err, errHungUp) {
		err = nil // as a machine that powers off
	}
	return errors.Join(err, g.leave())
}

// stdio is a connection of two pipes.
type stdio struct{ in, out *os.File }

func (s stdio) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s stdio) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s stdio) Close() error                { return errors.Join(s.in.Close(), s.out.Close()) }

// standardFiles takes standard input and output for the connection, so that
// nothing can print into it or read from it.
func standardFiles() (c stdio, err error) {
	if c.in, err = moved(unix.Stdin, "control"); err != nil {
		return c, err
	}
	if c.out, err = moved(unix.Stdout, "control"); err != nil {
		return c, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return c, err
	}
	defer null.Close()
	return c, errors.Join(unix.Dup3(int(null.Fd()), unix.Stdin, 0), unix.Dup3(unix.Stderr, unix.Stdout, 0))
}

func moved(fd int, name string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) //nolint:mnd // after the standard files
	if err != nil {
		return nil, fmt.Errorf("standard file %d: %w", fd, err)
	}
	err = unix.SetNonblock(n, true) // before os has it, which then waits without a thread
	return os.NewFile(uintptr(n), name), err
}

// distroSteps make the place that linuxhost expects out of a distro, in mounts
// of our own.
var distroSteps = []step{
	{"own mounts", (*guest).ownMounts},
	{"kernel", (*guest).look},
	{"nothing of Windows", (*guest).noWindows},
	{"place of the run", (*guest).takePlace},
	{"layers", (*guest).mountLayers},
	{"writable layer and volumes", (*guest).bindKept},
	{"network card", (*guest).makeCard},
	{"security modules", (*guest).readLSM},
	{"walls", (*guest).surveyDistro},
}

// ownMounts keeps what is mounted here to this process, and shows the processes
// of the new namespace.
func (*guest) ownMounts(context.Context) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("proc", "/proc", "proc", quiet, "")
}

// stateOf is linuxhost's own of a run: runs of one distro know nothing of each
// other.
func stateOf(id string) string { return filepath.Join(stateDir, id) }

// takePlace waits until nothing is left of a run that had this id before, and
// removes what one that was killed left.
func (g *guest) takePlace(ctx context.Context) error {
	state := stateOf(g.run.ID)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(state+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	g.lock = lock
	if err := appears(ctx, func() error { return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return fmt.Errorf("run %s has not ended: %w", g.run.ID, err)
	}
	return linuxhost.Cleanup(ctx, state, nil)
}

// mountLayers shows the layers, read-only, where every guest has them.
func (g *guest) mountLayers(context.Context) error {
	if err := ownFiles(); err != nil {
		return err
	}
	for n, name := range g.run.Layers {
		target, err := layerPlace(n)
		if err != nil {
			return err
		}
		if err := mountImage(filepath.Join(guestwire.DistroLayers, name), target); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// bindKept shows what outlives the run.
func (g *guest) bindKept(context.Context) error {
	kept := map[string]string{}
	if g.run.Keep {
		own := filepath.Join(guestwire.DistroRuns, g.run.ID)
		for _, dir := range []string{"upper", "work"} {
			if err := os.MkdirAll(filepath.Join(own, dir), 0o755); err != nil {
				return err
			}
		}
		kept[guestwire.WritableName] = own
	}
	for n, name := range g.run.Volumes {
		dir := filepath.Join(guestwire.DistroVolumes, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		kept[guestwire.GivenName(n)] = dir
	}
	for name, source := range kept {
		target := filepath.Join(guestwire.FilesDir, name)
		if err := os.MkdirAll(target, 0o700); err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// readLSM says which security modules there are: the kernel is Microsoft's.
func (g *guest) readLSM(context.Context) error {
	raw, err := os.ReadFile("/sys/kernel/security/lsm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	g.hello.LSM = strings.Split(strings.TrimSpace(string(raw)), ",")
	return err
}

// surveyDistro says which walls can be raised. The host compares that with what
// the user did without.
func (g *guest) surveyDistro(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	g.host = newHost(linuxhost.Config{Self: self, StateDir: stateOf(g.run.ID), Guest: &linuxhost.Guest{Card: g.cardName(), MapsFiles: true, OwnInterpreters: g.ownInterpreters}})
	if err := g.host.Check(ctx); err != nil {
		return err
	}
	g.hello.Walls = slices.Concat(g.host.Survey(ctx), []sandbox.Wall{g.windowsWall()})
	g.hello.Frames = true
	return nil
}

// leave removes what the run has in the distro while it lives.
func (g *guest) leave() error {
	state := stateOf(g.run.ID)
	return errors.Join(g.host.Close(), linuxhost.Cleanup(context.Background(), state, nil), os.RemoveAll(state), g.lock.Close())
}
