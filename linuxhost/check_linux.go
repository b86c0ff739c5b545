package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// part is one thing the host needs, and what to do when it is missing.
type part struct {
	name, remedy string
	there        func() bool
}

var parts = []part{
	{"root of a user namespace", "start the agent with consentry agent, which makes one for a user", func() bool { return os.Geteuid() == 0 }},
	{"Linux 5.19 or newer", "update the kernel: layers with mapped ids need it", func() bool { return kernelAtLeast(5, 19) }},
	{"user namespaces", "sysctl user.max_user_namespaces=10000 (and kernel.unprivileged_userns_clone=1 where that exists)", hasUserNamespaces},
	{"overlay file system", "modprobe overlay", hasOverlay},
	{"seccomp filters", "a kernel with CONFIG_SECCOMP_FILTER", hasSeccomp},
	{"/dev/net/tun", "modprobe tun", func() bool { return exists("/dev/net/tun") }},
	{"the right to /dev/net/tun", "install packaging/udev/70-consentry.rules, or as root: chmod 0666 /dev/net/tun", func() bool {
		return unix.Access("/dev/net/tun", unix.R_OK|unix.W_OK) == nil
	}},
	{"devices in /dev", "mount a devtmpfs on /dev", hasDevices},
}

// Check names every missing part and its remedy; nil means that all walls but
// those Posture excuses can stand.
func (h *Host) Check(ctx context.Context) error {
	var errs error
	for _, p := range parts {
		if !p.there() {
			errs = errors.Join(errs, fmt.Errorf("%w: %s: %s", sandbox.ErrNotSupported, p.name, p.remedy))
		}
	}
	trees, err := hierarchies()
	if err != nil {
		return errors.Join(errs, err)
	}
	if missing := missingControllers(trees); len(missing) > 0 {
		errs = errors.Join(errs, fmt.Errorf("%w: cgroup controllers %s: %s",
			sandbox.ErrNotSupported, strings.Join(missing, ", "), cgroupRemedy()))
	}
	//nolint:errcheck // what does not load may be waived: Survey and Posture say so
	h.fence.get(ctx, h.config)
	return errs
}

// cgroupRemedy says how the limits come to stand.
func cgroupRemedy() string {
	if delegatedOnly() {
		return "none was delegated to this user; with systemd: systemd-run --user --scope -p Delegate=yes consentry agent --foreground; apps run with rlimits only where you waive it: --waive " + sandbox.WaiveCgroup
	}
	return "mount cgroup2 (or cgroup v1 with them), and start the kernel with cgroup_enable=memory where it is off"
}

// Survey says which eBPF walls this machine can raise, before any start.
func (h *Host) Survey(ctx context.Context) []sandbox.Wall {
	raised, err := h.fence.get(ctx, h.config)
	return append([]sandbox.Wall{surveyedIDs(), surveyedLimits()}, surveyed(raised, err)...)
}

// surveyedIDs says which ids the apps of this agent have.
func surveyedIDs() sandbox.Wall {
	const first = idRange // of no app in particular
	span, err := spanOf(first)
	w := sandbox.Wall{Name: wallUser, Required: true, Stands: err == nil}
	switch {
	case err != nil:
		w.Detail = err.Error()
	case span.own:
		w.Detail = "every app has ids of its own"
	default:
		w.Detail = span.String()
	}
	return w
}

// surveyedLimits says whether cgroups limit the apps of this agent.
func surveyedLimits() sandbox.Wall {
	w := sandbox.Wall{Name: wallCgroup, Required: true, Waiver: sandbox.WaiveCgroup}
	trees, err := hierarchies()
	if err != nil {
		w.Detail = err.Error()
		return w
	}
	missing := missingControllers(trees)
	w.Stands, w.Detail = len(missing) == 0, "processes and memory"
	if !w.Stands {
		w.Detail = strings.Join(missing, ", ") + " missing: " + cgroupRemedy()
	}
	return w
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var haveMajor, haveMinor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &haveMajor, &haveMinor); err != nil {
		return false
	}
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}

func hasUserNamespaces() bool {
	raw, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	return err == nil && strings.TrimSpace(string(raw)) != "0" && exists("/proc/self/ns/user")
}

// hasOverlay asks for a context of the file system, which loads its module.
func hasOverlay() bool {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// hasSeccomp asks for a filter at address 0: a kernel with filters says EFAULT.
func hasSeccomp() bool {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0)
	return errno == unix.EFAULT
}

func hasDevices() bool {
	return !slices.ContainsFunc(deviceNames, func(name string) bool { return !exists("/dev/" + name) })
}
