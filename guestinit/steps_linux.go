package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// firstSteps and then steps make the place that linuxhost expects. What fails
// ends the guest: there is nothing a guest can do without.
var firstSteps = []step{
	{"root", (*guest).moveRoot},
	{"kernel file systems", (*guest).mountAll},
}

var steps = []step{
	{"kernel", (*guest).look},
	{"command line", (*guest).readLine},
	{"kernel modules", (*guest).loadModules},
	{"loopback", (*guest).loopbackUp},
	{"control port", (*guest).openControl},
	{"files of the app", (*guest).mountFiles},
	{"network card", (*guest).makeCardIfNone},
	{"random numbers", (*guest).seeded},
	{"security modules", (*guest).listLSM},
	{"walls", (*guest).survey},
}

// newRoot is where the initramfs is bound again: the first mount of a machine
// cannot be left by pivot_root, which is what sandboxes do.
const newRoot = "/newroot"

func (*guest) moveRoot(context.Context) error {
	if err := unix.Mount("/", newRoot, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

type mountPoint struct {
	kind, target string
	flags        uintptr
	options      string
}

const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

var mountPoints = []mountPoint{
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=755"},
	{"proc", "/proc", quiet, ""},
	{"sysfs", "/sys", quiet, ""},
	{"securityfs", "/sys/kernel/security", quiet, ""},
	{"cgroup2", "/sys/fs/cgroup", quiet, ""},
	{"bpf", "/sys/fs/bpf", quiet, "mode=700"},
	{"tmpfs", "/run", quiet, "mode=755"},
	{"tmpfs", "/tmp", quiet, "mode=700"},
}

func (*guest) mountAll(context.Context) error {
	for _, m := range mountPoints {
		if err := unix.Mount(m.kind, m.target, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("%s: %w", m.target, err)
		}
	}
	return os.MkdirAll(stateDir, 0o700)
}

// look says which kernel this is, and how long the way to here was.
func (g *guest) look(context.Context) error {
	g.hello.Steps = append(g.hello.Steps, guestwire.Step{Name: "until here", Microseconds: sinceBoot().Microseconds()})
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	g.hello.Kernel, g.hello.Arch = unix.ByteSliceToString(name.Release[:]), runtime.GOARCH
	return nil
}

func (g *guest) readLine(context.Context) error {
	line, err := os.ReadFile("/proc/cmdline")
	if err == nil {
		g.boot, err = guestwire.ParseBootLine(string(line))
	}
	return err
}

func (*guest) loadModules(context.Context) error {
	entries, err := os.ReadDir(ModulesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := loadModule(filepath.Join(ModulesDir, e.Name())); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// loopbackUp is for the proof of a denial, which binds a socket.
func (*guest) loopbackUp(context.Context) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}

// deviceTime bounds how long a device may take to appear: the kernel finds
// them while init runs already.
const deviceTime = 20 * time.Second

// appears calls look until it succeeds.
func appears(ctx context.Context, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, deviceTime)
	defer cancel()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// mountFiles shows the app's files. A machine without them has nothing to run.
func (g *guest) mountFiles(ctx context.Context) error {
	if g.boot.Disks > 0 {
		return g.mountDisks(ctx)
	}
	err := appears(ctx, func() error {
		return unix.Mount(guestwire.FilesTag, guestwire.FilesDir, "virtiofs", unix.MS_NOSUID|unix.MS_NODEV, "")
	})
	if err != nil {
		return err
	}
	return g.mountImages()
}

// seeded waits until the kernel's random numbers are good: clones of a machine
// must not have the same ones.
func (*guest) seeded(context.Context) error {
	var b [1]byte
	for {
		_, err := unix.Getrandom(b[:], 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// wantedLSM must be active: without bpf in the list, programs load, attach, and
// deny nothing.
var wantedLSM = []string{"landlock", "bpf"}

func (g *guest) listLSM(context.Context) error {
	raw, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return err
	}
	g.hello.LSM = strings.Split(strings.TrimSpace(string(raw)), ",")
	for _, want := range wantedLSM {
		if !slices.Contains(g.hello.LSM, want) {
			return fmt.Errorf("%s is not among %s: start the kernel with it in lsm=", want, raw)
		}
	}
	return nil
}

// survey raises the eBPF programs, which proves a denial, and refuses a machine
// that lacks a wall.
func (g *guest) survey(ctx context.Context) error {
	card := ""
	if _, err := os.Stat(filepath.Join("/sys/class/net", sandbox.LinkDevice)); err == nil {
		card = sandbox.LinkDevice
	}
	if g.card != nil {
		card, g.hello.Frames = g.cardName(), true
	}
	g.host = newHost(linuxhost.Config{Self: self, StateDir: stateDir, Guest: &linuxhost.Guest{Card: card, MapsFiles: g.mapsFiles, Folders: guestwire.FoldersDir}})
	p := sandbox.Posture{Walls: g.host.Survey(ctx)}
	g.hello.Walls = p.Walls
	return p.Missing()
}
