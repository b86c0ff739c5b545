package linuxhost

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// neverShared are places of the host that hold sockets, devices or the kernel's
// own files. A share may neither lie in one nor contain one.
var neverShared = []string{"/proc", "/sys", "/dev", "/run", "/var/run", "/tmp/.X11-unix", "/boot"}

// neverTargets are places inside that belong to the sandbox.
var neverTargets = []string{"/proc", "/sys", "/dev"}

// checkTarget says why nothing must be mounted at target.
func checkTarget(target string) error {
	if !filepath.IsAbs(target) || filepath.Clean(target) != target || target == "/" {
		return fmt.Errorf("%w: target %q of a mount must be absolute, clean and not the root", sandbox.ErrInvalid, target)
	}
	for _, place := range neverTargets {
		if within(target, place) {
			return fmt.Errorf("%w: nothing is mounted in %s of an app", sandbox.ErrInvalid, place)
		}
	}
	return nil
}

// checkMount says why m must not be mounted.
func checkMount(m sandbox.Mount, stateDir string) error {
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	source := filepath.Clean(m.Source)
	if !filepath.IsAbs(source) {
		return fmt.Errorf("%w: source %q of a mount is not absolute", sandbox.ErrInvalid, m.Source)
	}
	if m.Volume {
		return nil // ours, below the state directory
	}
	for _, place := range append([]string{stateDir}, neverShared...) {
		if place != "" && (within(source, place) || within(place, source)) {
			return fmt.Errorf("%w: %s cannot be shared: it overlaps %s; share a folder of your own files", sandbox.ErrInvalid, source, place)
		}
	}
	return nil
}

// checkInside says why what lies in a folder of the user's keeps it from being
// given. A guest does not look: the machine's host has, and to look is to touch.
func checkInside(m sandbox.Mount) error {
	if m.Volume {
		return nil
	}
	if keyring := keyringIn(filepath.Clean(m.Source)); keyring != "" {
		return fmt.Errorf("%w: %s cannot be shared: %s holds keys; share a folder of your own files", sandbox.ErrInvalid, m.Source, keyring)
	}
	return nil
}

// CheckFolder says why a folder of the user's must not be given to an app.
func CheckFolder(source, stateDir string) error {
	m := sandbox.Mount{Source: source, Target: "/share"}
	if err := checkMount(m, stateDir); err != nil {
		return err
	}
	return checkInside(m)
}

// writesOutside says whether the app may, now or later, write to a folder of
// the user's.
func writesOutside(spec sandbox.Spec) bool {
	return len(spec.Asks) > 0 || slices.ContainsFunc(spec.Mounts, func(m sandbox.Mount) bool { return !m.ReadOnly && !m.Volume })
}

// within says whether path is dir or lies below it; both are clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(filepath.Clean(dir), "/")+"/")
}

// mountTree makes the detached mount of a share or a volume.
func mountTree(m sandbox.Mount, stateDir string, span idSpan, user sandbox.User, userns *os.File) (*os.File, error) {
	if err := checkMount(m, stateDir); err != nil {
		return nil, err
	}
	if !span.serves(m) {
		if err := checkInside(m); err != nil {
			return nil, err
		}
	}
	dir, err := openDir(m.Source)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	attributes := uint64(0)
	if m.ReadOnly {
		attributes = unix.MOUNT_ATTR_RDONLY
	}
	if m.Volume {
		return volumeTree(m.Source, dir, attributes, user, userns)
	}
	ids, err := ownerIDs(m.Source, span, user)
	if err != nil {
		return nil, err
	}
	if ids != nil {
		defer ids.Close()
	}
	if len(m.Parts) > 0 {
		made, err := assemble(sandbox.Folder{Source: m.Source, Write: !m.ReadOnly, Parts: m.Parts}, ids)
		if err != nil {
			return nil, err
		}
		return made.tree, nil
	}
	return treeOf(m.Source, attributes, ids)
}

// serves says whether m is a folder that the machine's host serves.
func (s idSpan) serves(m sandbox.Mount) bool {
	return s.served != "" && !m.Volume && within(filepath.Clean(m.Source), s.served)
}

// ownerIDs maps the owner of a folder to the app's user; nil where mounts cannot
// have mapped ids, and the user, whose folder it is, is the app's root.
func ownerIDs(source string, span idSpan, user sandbox.User) (*os.File, error) {
	if !span.mapsFiles() || span.serves(sandbox.Mount{Source: source}) {
		return nil, nil
	}
	var st unix.Stat_t
	if err := unix.Lstat(source, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return idsOf(st.Uid, st.Gid, span.base+user.UID, span.base+user.GID)
}

// volumeTree is a volume whose files keep the ids that apps know on disk, so
// that the next app, with other ids on the host, finds them as its own. A new
// one, which is empty and has no owner from the image, is given to the app's user.
func volumeTree(path string, dir *os.File, attributes uint64, user sandbox.User, ids *os.File) (*os.File, error) {
	empty, err := isEmpty(path)
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return nil, fmt.Errorf("volume %s: %w", path, err)
	}
	if empty && st.Uid == 0 && st.Gid == 0 {
		if err := unix.Fchownat(int(dir.Fd()), "", int(user.UID), int(user.GID), unix.AT_EMPTY_PATH); err != nil {
			return nil, fmt.Errorf("owner of volume %s: %w", path, err)
		}
	}
	return treeOf(path, attributes, ids)
}

func isEmpty(path string) (bool, error) {
	dir, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
