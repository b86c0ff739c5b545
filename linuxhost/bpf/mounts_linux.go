package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMounts bounds what is read of a sandbox's mounts: they are ours, but their
// targets come from the image's manifest.
const maxMounts = 4096

// MountsOf reads the mounts of a process from outside, with the rights that
// their options leave. A mount that lies under another is not reachable, and
// gets none.
func MountsOf(pid int) ([]Mount, error) {
	info, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("mounts of the sandbox: %w", err)
	}
	defer info.Close()
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mounts of the sandbox: %w", err)
	}
	defer unix.Close(root)
	lines, err := parseMounts(info)
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for _, line := range lines {
		m, err := line.look(root)
		if errors.Is(err, errCovered) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mount %s of the sandbox: %w", line.point, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// mountLine is a line of mountinfo.
type mountLine struct {
	id     uint64
	device uint32
	point  string
	rights Rights
}

func parseMounts(r io.Reader) ([]mountLine, error) {
	var all []mountLine
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if len(all) == maxMounts {
			return nil, fmt.Errorf("the sandbox has more than %d mounts", maxMounts)
		}
		line, err := parseMount(lines.Text())
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, nil
}

// mountFields are those before the optional ones: id, parent, major:minor,
// root, mount point, options.
const mountFields = 6

func parseMount(text string) (line mountLine, err error) {
	fields := strings.Fields(text)
	_, super, found := strings.Cut(text, " - ")
	supers := strings.Fields(super)
	if len(fields) < mountFields || !found || len(supers) == 0 {
		return line, fmt.Errorf("mountinfo line %q", text)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
		return line, fmt.Errorf("mountinfo line %q: %w", text, err)
	}
	if line.id, err = strconv.ParseUint(fields[0], 10, 32); err != nil {
		return line, fmt.Errorf("mountinfo line %q: %w", text, err)
	}
	line.device = major<<20 | minor
	line.point = unescape(fields[4])
	line.rights = rightsOf(fields[5])
	if last := supers[len(supers)-1]; strings.HasPrefix(last, "ro,") || last == "ro" {
		line.rights &^= Write
	}
	return line, nil
}

// unescape undoes the octal that mountinfo writes for blanks and backslashes.
func unescape(text string) string {
	for _, c := range []string{" ", "\t", "\n", "\\"} {
		text = strings.ReplaceAll(text, fmt.Sprintf("\\%03o", c[0]), c)
	}
	return text
}

// rightsOf are what a mount's options leave.
func rightsOf(options string) Rights {
	rights := Read | Write | Exec
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "ro":
			rights &^= Write
		case "noexec":
			rights &^= Exec
		}
	}
	return rights
}

var errCovered = errors.New("covered by another mount")

// look finds the mount's lasting id by its path, which is the kernel's own and
// has no links in it.
func (l mountLine) look(root int) (Mount, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(root, l.point, &how)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return Mount{}, errCovered
	}
	if err != nil {
		return Mount{}, err
	}
	defer unix.Close(fd)
	id, err := mountIDs(fd)
	if err != nil {
		return Mount{}, err
	}
	if id.Old != l.id {
		return Mount{}, errCovered
	}
	return Mount{ID: id.Lasting, Device: l.device, Rights: l.rights}, nil
}

// MountNumber holds both numbers of a mount; they are one where the kernel has
// no lasting ones.
type MountNumber struct{ Old, Lasting uint64 }

// MountID are the numbers of the mount that f is open on.
func MountID(f *os.File) (MountNumber, error) { return mountIDs(int(f.Fd())) }

// mountIDs asks for nothing but numbers, so that a file system in a process
// that does not answer cannot hold us.
func mountIDs(fd int) (MountNumber, error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	var st unix.Statx_t
	if err := unix.Statx(fd, "", flags, unix.STATX_MNT_ID, &st); err != nil {
		return MountNumber{}, err
	}
	id := MountNumber{Old: st.Mnt_id, Lasting: st.Mnt_id}
	if err := unix.Statx(fd, "", flags, unix.STATX_MNT_ID_UNIQUE, &st); err != nil {
		return MountNumber{}, err
	}
	if st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		id.Lasting = st.Mnt_id
	}
	return id, nil
}

// DevicesBelow are the file systems at and below a path of this thread's mount
// namespace, by mount point. A stat does not tell them: btrfs has others for
// its volumes.
func DevicesBelow(path string) (map[string]uint32, error) {
	info, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer info.Close()
	lines, err := parseMounts(info)
	if err != nil {
		return nil, err
	}
	devices := map[string]uint32{}
	for _, line := range lines {
		if line.point == path || strings.HasPrefix(line.point, path+"/") {
			devices[line.point] = line.device
		}
	}
	return devices, nil
}
