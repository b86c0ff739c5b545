package linuxhost

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// users are the processes of an app that hold files of a folder.
type users struct {
	open    int   // descriptors, and directories they are in
	mapping []int // processes that have a file mapped
}

// usersOf looks at every process of a held cgroup for files below the mounts of
// ids; for mapped ones only where there may be one. What is under way inside a socket cannot be seen.
func usersOf(g *cgroup, ids []uint64, mapped bool) (users, error) {
	pids := g.processes()
	if len(pids) == 0 {
		return users{}, errors.New("look who uses a folder: the cgroup has no process")
	}
	var u users
	for _, pid := range pids {
		open, err := openBelow(pid, ids)
		if err != nil {
			return users{}, err
		}
		u.open += open
		if !mapped {
			continue
		}
		maps, err := mappedBelow(pid, ids)
		if err != nil {
			return users{}, err
		}
		if maps {
			u.mapping = append(u.mapping, pid)
		}
	}
	return u, nil
}

// end kills those that have a file mapped: no hook is asked when they read it.
func (u users) end() error {
	var errs error
	for _, pid := range u.mapping {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = errors.Join(errs, fmt.Errorf("end process %d: %w", pid, err))
		}
	}
	return errs
}

// gone says that what was looked at has ended meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// openBelow counts what a process has open below the mounts.
func openBelow(pid int, ids []uint64) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		return 0, err
	}
	count := 0
	for _, entry := range entries {
		id, err := mountOfFD(filepath.Join(dir, entry.Name()))
		if err != nil && !gone(err) {
			return 0, err
		}
		if err == nil && slices.Contains(ids, id) {
			count++
		}
	}
	in, err := mountOfLink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil && !gone(err) {
		return 0, err
	}
	if err == nil && slices.Contains(ids, in) {
		count++
	}
	return count, nil
}

// maxFDInfo bounds what is read of one fdinfo file: mnt_id is its third line.
const maxFDInfo = 4096

func mountOfFD(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, maxFDInfo)); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "mnt_id:"); found {
			return strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		}
	}
	return 0, fs.ErrNotExist // it was closed
}

// mountOfLink is the mount that a link of /proc leads into.
func mountOfLink(path string) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return st.Mnt_id, nil
}

// mappedBelow says whether a process has a file of the mounts mapped.
func mappedBelow(pid int, ids []uint64) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/map_files", pid)
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		return false, err
	}
	for _, entry := range entries {
		id, err := mountOfLink(filepath.Join(dir, entry.Name()))
		if err != nil && !gone(err) {
			return false, err
		}
		if err == nil && slices.Contains(ids, id) {
			return true, nil
		}
	}
	return false, nil
}
