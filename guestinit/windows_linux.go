package guestinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// noWindows refuses a distro from which Windows can be reached: its drives are
// mounted, or the kernel hands Windows programs to an interpreter (interop).
func (*guest) noWindows(context.Context) error { return lookForWindows() }

func lookForWindows() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if found := windowsMounts(string(mounts)); len(found) > 0 {
		return fmt.Errorf("%w: files of Windows are mounted on %s: look for who mounted them; to begin anew, wsl --unregister consentry (what apps have written in it is lost)", sandbox.ErrWall, strings.Join(found, ", "))
	}
	found, err := interpreters()
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: the kernel, which all WSL distros share, runs programs of Windows (%s): write [interop] enabled=false into /etc/wsl.conf of the distros that have it on, then wsl --shutdown", sandbox.ErrWall, strings.Join(found, ", "))
	}
	return nil
}

// windowsWall looks again: the kernel is shared with distros that may change
// what it runs.
func windowsWall() sandbox.Wall {
	w := sandbox.Wall{Name: "nothing of Windows", Required: true, Stands: true, Detail: "no drive of Windows is mounted, no program of Windows is run"}
	if err := lookForWindows(); err != nil {
		w.Stands, w.Detail = false, err.Error()
	}
	return w
}

// windowsMounts are the places of mountinfo (proc_pid_mountinfo(5)) that show
// files of Windows: drvfs by itself, over the transports that WSL has for it, or
// anything that calls itself a drive. A distro of ours has none of them for
// anything else.
func windowsMounts(mountinfo string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(left), strings.Fields(right)
		const placeAt, source = 4, 1
		if len(place) <= placeAt || len(kind) <= source {
			continue
		}
		if slices.Contains(windowsKinds, kind[0]) || drive.MatchString(kind[source]) {
			found = append(found, place[placeAt])
		}
	}
	return found
}

var (
	windowsKinds = []string{"drvfs", "9p", "virtiofs"}
	drive        = regexp.MustCompile(`^(?i:[a-z]:|drvfs)`)
)

// binfmtDir is where the kernel shows which interpreter runs what (its
// Documentation/admin-guide/binfmt-misc.rst).
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// interpreters are the registrations that hand programs of Windows to
// something. The file system is mounted here if it is not: the registrations
// work whether somebody sees them or not.
func interpreters() ([]string, error) {
	if _, err := os.Stat(filepath.Join(binfmtDir, "status")); err != nil {
		err := unix.Mount("binfmt_misc", binfmtDir, "binfmt_misc", quiet, "")
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) {
			return nil, nil // this kernel has no such thing
		}
		if err != nil {
			return nil, fmt.Errorf("binfmt_misc: %w", err)
		}
	}
	entries, err := os.ReadDir(binfmtDir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if e.Name() == "status" || e.Name() == "register" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(binfmtDir, e.Name()))
		if err != nil {
			return nil, err
		}
		if runsWindows(e.Name(), string(text)) {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// runsWindows says whether a registration is for programs of Windows: by name
// (WSLInterop, WSLInterop-late), or by what they begin with, "MZ".
func runsWindows(name, text string) bool {
	const mz = "magic 4d5a"
	enabled := strings.HasPrefix(text, "enabled")
	return enabled && (strings.HasPrefix(name, "WSLInterop") || slices.Contains(strings.Split(text, "\n"), mz))
}
