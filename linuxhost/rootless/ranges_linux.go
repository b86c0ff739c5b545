package rootless

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// wantedIDs are the ids of an app, less id 0, which is the user.
const wantedIDs = 65535

// Bounds of /etc/subuid.
const (
	maxSubLines = 1 << 16
	maxSubLine  = 4 << 10 // bytes
)

// span is a run of subordinate ids.
type span struct{ first, count uint32 }

// subIDs finds the first range in the file that belongs to the user, by name or
// by number. No file and no line are no error.
func subIDs(file string, who *user.User) (span, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return span{}, nil
	}
	if err != nil {
		return span{}, fmt.Errorf("subordinate ids: %w", err)
	}
	defer f.Close()
	return readSpans(f, who)
}

func readSpans(r io.Reader, who *user.User) (span, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSubLine)
	for n := 0; lines.Scan() && n < maxSubLines; n++ {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 || fields[0] != who.Username && fields[0] != who.Uid {
			continue
		}
		first, firstErr := strconv.ParseUint(fields[1], 10, 32)
		count, countErr := strconv.ParseUint(fields[2], 10, 32)
		if firstErr != nil || countErr != nil || first == 0 || count == 0 || first+count > 1<<32-1 {
			continue
		}
		return span{uint32(first), min(uint32(count), wantedIDs)}, nil
	}
	if err := lines.Err(); err != nil {
		return span{}, fmt.Errorf("subordinate ids: %w", err)
	}
	return span{}, nil
}

// Why a user has no more than one id.
var (
	errNoTools = errors.New("newuidmap and newgidmap are missing: install the package uidmap (shadow-utils)")
	errNoRange = errors.New("no subordinate ids: as root, usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER")
)

// plan is how the ids of the user are mapped.
type plan struct {
	uid, gid       int
	uids, gids     span
	newUID, newGID string // the programs
	whyOnlyOne     error
}

func makePlan() plan {
	p := plan{uid: os.Getuid(), gid: os.Getgid()}
	who := &user.User{Uid: strconv.Itoa(p.uid)}
	if named, err := user.LookupId(who.Uid); err == nil {
		who = named
	}
	var uidErr, gidErr error
	p.uids, uidErr = subIDs("/etc/subuid", who)
	p.gids, gidErr = subIDs("/etc/subgid", who)
	p.uids.count = min(p.uids.count, p.gids.count) // an id is a user's and a group's
	p.gids.count = p.uids.count
	p.newUID, p.newGID = lookTool("newuidmap"), lookTool("newgidmap")
	switch err := errors.Join(uidErr, gidErr); {
	case err != nil:
		p.whyOnlyOne = err
	case p.uids.count == 0:
		p.whyOnlyOne = errNoRange
	case p.newUID == "" || p.newGID == "":
		p.whyOnlyOne = errNoTools
	}
	return p
}

func lookTool(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// apply writes the maps of process pid, which waits in its new user namespace.
func (p *plan) apply(pid int) error {
	if p.whyOnlyOne == nil {
		if err := p.applyMany(pid); err != nil {
			p.whyOnlyOne = err // the tool may lack its rights, or disagree on the range
		} else {
			return nil
		}
	}
	return p.applyOne(pid)
}

func (p *plan) applyMany(pid int) error {
	for _, m := range []struct {
		tool string
		own  int
		sub  span
	}{{p.newUID, p.uid, p.uids}, {p.newGID, p.gid, p.gids}} {
		numbers := []uint32{uint32(pid), 0, uint32(m.own), 1, 1, m.sub.first, m.sub.count} //nolint:gosec // ids of the kernel
		var args []string
		for _, n := range numbers {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
		if out, err := exec.Command(m.tool, args...).CombinedOutput(); err != nil { //nolint:noctx // it writes one file
			return fmt.Errorf("%s: %w: %.200s", m.tool, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// applyOne maps the user's own id, which anybody may. A uid_map that newuidmap
// has written already stays: it can be written once.
func (p *plan) applyOne(pid int) error {
	for _, w := range []struct{ file, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("0 %d 1\n", p.uid)},
		{"gid_map", fmt.Sprintf("0 %d 1\n", p.gid)},
	} {
		file := fmt.Sprintf("/proc/%d/%s", pid, w.file)
		if err := os.WriteFile(file, []byte(w.text), 0); err != nil {
			return errors.Join(fmt.Errorf("map the user's own id: %w", err), p.whyOnlyOne)
		}
	}
	return nil
}
