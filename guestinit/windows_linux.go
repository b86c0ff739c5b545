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
// mounted, its interop server listens, or the kernel hands programs of Windows to
// an interpreter and that cannot be kept from an app.
func (g *guest) noWindows(context.Context) error {
	g.ownInterpreters = ownInterpreters(g.hello.Kernel)
	return g.lookForWindows()
}

func (g *guest) lookForWindows() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if found := windowsMounts(string(mounts)); len(found) > 0 {
		return fmt.Errorf("%w: files of Windows are mounted on %s: look for who mounted them; to begin anew, wsl --unregister consentry (what apps have written in it is lost)", sandbox.ErrWall, strings.Join(found, ", "))
	}
	servers, err := filepath.Glob(interopServers)
	if err != nil {
		return err
	}
	if len(servers) > 0 {
		return fmt.Errorf("%w: WSL's interop server listens in this distro (%s): wsl --terminate consentry, then wsl --update", sandbox.ErrWall, servers[0])
	}
	found, err := interpreters()
	if err != nil {
		return err
	}
	if len(found) > 0 && !g.ownInterpreters {
		return fmt.Errorf("%w: the kernel, which all WSL distros share, runs programs of Windows (%s), and only Linux 6.7 or newer can keep that from an app: wsl --update; or turn it off for all distros, until the next wsl --shutdown, as root in any: echo 0 >%s/%s", sandbox.ErrWall, strings.Join(found, ", "), binfmtDir, found[0])
	}
	return nil
}

// interopServers are the sockets by which programs of a distro start programs of
// Windows, where its interop is on.
const interopServers = "/run/WSL/*_interop"

// ownInterpreters says whether a kernel of this release can give a user
// namespace a list of interpreters of its own: Linux 6.7.
func ownInterpreters(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 7
}

// windowsWall looks again: the kernel is shared with distros that may change
// what it runs.
func (g *guest) windowsWall() sandbox.Wall {
	w := sandbox.Wall{Name: "nothing of Windows", Required: true, Stands: true, Detail: "no drive is mounted, no interop server listens, and the app's kernel knows no program of Windows"}
	if err := g.lookForWindows(); err != nil {
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
