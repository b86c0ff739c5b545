package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"github.com/consentry/consentry/linuxhost/seccomp"
)

// nullStreams points init's own streams at the sandbox's /dev/null: until here
// standard error was the launcher's.
func (b *builder) nullStreams() error {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for stream := range 3 {
		if err := unix.Dup3(fd, stream, 0); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
	}
	return unix.Close(fd)
}

// noHostFiles proves that init holds nothing but its wire and what the Go run
// time waits with: a directory of the host left open would be a way back
// (CVE-2024-21626).
func (b *builder) noHostFiles() error {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(0)
	if err != nil {
		return err
	}
	sockets := 0
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return err
		}
		if fd == int(dir.Fd()) {
			continue
		}
		what, err := os.Readlink(filepath.Join("/proc/self/fd", name))
		if err != nil {
			return err
		}
		switch {
		case fd <= 2 && what == "/dev/null", b.isPinned(fd):
		case what == "anon_inode:[eventpoll]" || what == "anon_inode:[eventfd]":
		case strings.HasPrefix(what, "socket:"):
			sockets++
		default:
			return fmt.Errorf("descriptor %d is open on %s", fd, what)
		}
	}
	if sockets != 1 {
		return fmt.Errorf("%d sockets are open, want the one wire", sockets)
	}
	return nil
}

const maxOpenFiles = 1 << 20

// setRlimits goes through package syscall: the run time restores for children
// what it changed by itself.
func (b *builder) setRlimits() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("core: %w", err)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("open files: %w", err)
	}
	files.Max = min(files.Max, maxOpenFiles)
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("open files: %w", err)
	}
	return b.limitByRlimits()
}

// limitByRlimits stands in for cgroups where the user waived them. The bound is
// one of each id inside, not of the app: less than a wall.
func (b *builder) limitByRlimits() error {
	if b.call.MaxProcesses <= 0 {
		return nil
	}
	for _, l := range []struct {
		name     string
		resource int
		most     int64
	}{
		{"processes", unix.RLIMIT_NPROC, b.call.MaxProcesses + initPIDs},
		{"data", unix.RLIMIT_DATA, b.call.Memory + initMemory},
	} {
		most := uint64(max(l.most, 0)) //nolint:gosec // not negative
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// unshareTime gives what is started from now on clocks that began with the
// sandbox: how long the machine has been up is not the app's.
func (b *builder) unshareTime() error {
	if !exists("/proc/self/ns/time") {
		return nil // the kernel has none, Linux 5.6 brought them
	}
	return b.children.onBirthThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
			return err
		}
		var offsets strings.Builder
		for _, clock := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME} {
			var now unix.Timespec
			if err := unix.ClockGettime(clock, &now); err != nil {
				return err
			}
			fmt.Fprintf(&offsets, "%d %d 0\n", clock, -now.Sec)
		}
		// The host's /proc, which is still at its place, knows us by another number.
		return writeFile(fmt.Sprintf("%s/proc/%d/timens_offsets", stageDir, unix.Gettid()), offsets.String())
	})
}

// rootCapabilities are what the image's root has, inside: to own and read the
// files of its 65,536 ids, to become one of them, to signal them, to bind low
// ports. It is docker's set less what reaches into the kernel or is refused
// anyway: NET_RAW and MKNOD (packets and devices), SYS_CHROOT (roots are ours),
// SETFCAP (no_new_privs makes it void), AUDIT_WRITE. No other user has any, and
// init, which starts them all, has no more.
var rootCapabilities = []uint{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE,
}

// maxCapability bounds the walk over capabilities; the kernel ends it earlier.
const maxCapability = 63

// cutBoundingSet cuts it where programs are started, as only an exec looks at
// it; elsewhere no_new_privs stands. (A call on all threads stops the world:
// forty of them would be most of a start.)
func (b *builder) cutBoundingSet() error {
	return b.children.onBirthThread(func() error { return dropBoundingSet(rootCapabilities) })
}

// dropCapabilities takes all but a few from every thread. The filter, which
// comes last, brings no_new_privs to all of them.
func (*builder) dropCapabilities() error { return setCapabilities(rootCapabilities) }

// dropBoundingSet leaves keep in the bounding set of this thread, and nothing
// in the ambient set, so that no exec of it or its children gives more back.
func dropBoundingSet(keep []uint) error {
	for c := range uintptr(maxCapability) {
		if slices.Contains(keep, uint(c)) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && c > unix.CAP_CHECKPOINT_RESTORE {
			break // the kernel has no more
		}
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("bounding set, capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("ambient set: %w", err)
	}
	return nil
}

// setCapabilities leaves every thread with keep, permitted and effective.
func setCapabilities(keep []uint) error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	sets := new([2]unix.CapUserData)
	var held runtime.Pinner // the pointers pass through code the collector cannot see into
	held.Pin(header)
	held.Pin(sets)
	defer held.Unpin()
	for _, c := range keep {
		sets[c/32].Permitted |= 1 << (c % 32)
		sets[c/32].Effective |= 1 << (c % 32)
	}
	err := onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(sets)), 0)
	if err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// onAllThreads runs a call on every thread of the process: capabilities and
// no_new_privs belong to threads, and Go moves work between them.
func onAllThreads(call, a, b, c uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// landlockScoped is the first ABI that can keep signals and abstract sockets
// inside.
const landlockScoped = 6

// landlockABI is 0 where the kernel has no Landlock.
func landlockABI() int {
	version, err := landlocksys.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}

// restrictScopes keeps signals and abstract sockets within the sandbox, a
// second time after the namespaces. Only the thread that starts processes is
// put into the domain: each thread that restricts itself makes a domain of its
// own, and two processes of different domains could not signal each other.
func (b *builder) restrictScopes() error {
	abi := landlockABI()
	if abi < landlockScoped {
		return nil // Posture says so
	}
	rules := landlocksys.RulesetAttr{Scoped: landlocksys.ScopeAbstractUnixSocket | landlocksys.ScopeSignal}
	fd, err := landlocksys.LandlockCreateRuleset(&rules, 0)
	if err != nil {
		return err
	}
	err = b.children.onBirthThread(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
		return landlocksys.LandlockRestrictSelf(fd, 0)
	})
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return err
	}
	b.landlock = abi
	return nil
}

func (b *builder) notDumpable() error {
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

func (b *builder) compileFilter() (err error) {
	b.filter, err = seccomp.Compile(seccomp.App())
	return err
}

func (b *builder) seccomp() error {
	if b.call.NoSetID { // not known when the ground was laid
		return seccomp.Install(seccomp.AppNoSetID())
	}
	return b.filter.Install()
}
