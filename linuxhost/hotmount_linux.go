package linuxhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// spot is a place inside where a folder lies or may come.
//
//	asked for:      target <- placeholder             spare: none
//	given:          target <- folder                  spare: placeholder, detached
//	taken back:     target <- placeholder             spare: none
//	given at start: target <- folder; taken back: the empty directory below
type spot struct {
	under *os.File    // the directory that all is mounted on, pinned before the app ran; nil for one given at the start
	hold  *os.File    // the placeholder's mount, there or spare
	wire  *os.File    // of the placeholder, until it is handed over
	given *folderTree // nil while the placeholder is there
}

// beneathFlag mounts below what is there (Linux 6.5), so that nobody finds an
// empty place in between.
const beneathFlag = 0x200

var errNoSpot = fmt.Errorf("%w: no folder belongs there", sandbox.ErrInvalid)

// pinned takes the directories below the placeholders, which init opened.
func (l *launcher) pinned(asks []sandbox.Ask, dirs []*os.File) error {
	if len(dirs) != len(asks) {
		fdwire.CloseAll(dirs)
		return fmt.Errorf("%w: init pinned %d places of %d", sandbox.ErrInvalid, len(dirs), len(asks))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range asks {
		l.spots[a.Target].under = dirs[i]
	}
	return nil
}

// keep remembers the mount of a folder that is given at the start.
func (l *launcher) keep(target string, tree *os.File) error {
	own, err := duplicateFD(tree)
	if err != nil {
		return err
	}
	id, err := bpf.MountID(own)
	if err != nil {
		return errors.Join(err, own.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spots[target] = &spot{given: &folderTree{tree: own, ids: []uint64{id.Old}, mounts: []bpf.Mount{{ID: id.Lasting}}}}
	return nil
}

func duplicateFD(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// placeholders hands the other ends of the placeholders over.
func (l *launcher) placeholders() (wire.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var files []*os.File
	for _, a := range l.spec.Asks {
		s := l.spots[a.Target]
		if s == nil || s.wire == nil {
			return wire.Reply{}, fmt.Errorf("%w: the placeholders are handed over", sandbox.ErrInvalid)
		}
		files = append(files, s.wire)
		s.wire = nil
	}
	return wire.Reply{Files: files}, nil
}

// give puts a folder in its place. Whoever waits at the placeholder looks again
// when it is there.
func (l *launcher) give(body json.RawMessage) error {
	var call giveCall
	if err := decode(body, &call); err != nil {
		return err
	}
	l.giving.Lock()
	defer l.giving.Unlock()
	l.mu.Lock()
	s, child, user, span := l.spots[call.Target], l.init, l.spec.Process.User, l.ids
	l.mu.Unlock()
	if s == nil || s.under == nil || s.given != nil || child == nil {
		return errNoSpot
	}
	m := sandbox.Mount{Source: call.Folder.Source, Target: call.Target}
	if err := errors.Join(checkMount(m, l.state), checkInside(m)); err != nil {
		return err
	}
	ids, err := ownerIDs(m.Source, span, user)
	if err != nil {
		return err
	}
	if ids != nil {
		defer ids.Close()
	}
	made, err := assemble(call.Folder, ids)
	if err != nil {
		return err
	}
	if err := l.place(child.pid(), s, made); err != nil {
		return errors.Join(err, made.tree.Close())
	}
	l.mu.Lock()
	s.given = made
	l.mu.Unlock()
	return nil
}

// place swaps the placeholder for a folder. The rights are there before the
// mount is.
func (l *launcher) place(pid int, s *spot, made *folderTree) error {
	if err := l.allow(made.mounts); err != nil {
		return err
	}
	err := inMountsOf(pid, func() error {
		spare, err := cloneTree(s.hold)
		if err != nil {
			return err
		}
		if err := putUnder(s, made.tree); err != nil {
			return errors.Join(err, spare.Close())
		}
		old := s.hold
		s.hold = spare
		return old.Close()
	})
	if err != nil {
		return errors.Join(err, l.disallow(made.mounts))
	}
	return nil
}

// putUnder mounts tree and takes the placeholder away: below it first, where
// the kernel can, else it is away for a moment.
func putUnder(s *spot, tree *os.File) error {
	const both = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	err := unix.MoveMount(int(tree.Fd()), "", int(s.hold.Fd()), "", both|beneathFlag)
	if err == nil {
		return detachHere(s.hold)
	}
	if err := detachHere(s.hold); err != nil {
		return err
	}
	return unix.MoveMount(int(tree.Fd()), "", int(s.under.Fd()), "", both)
}

// takeTime bounds how long open files of a folder may live on a machine that is
// too busy to hold the app at once, which takes milliseconds: then it is ended.
const takeTime = 3 * time.Second

// take takes a folder away: for new calls by the mount, for open files by the
// LSM programs or by holding the app, for mapped files by ending who has them.
func (l *launcher) take(ctx context.Context, body json.RawMessage) (taken sandbox.Taken, err error) {
	var call giveCall
	if err := decode(body, &call); err != nil {
		return taken, err
	}
	l.giving.Lock()
	defer l.giving.Unlock()
	l.mu.Lock()
	s, child := l.spots[call.Target], l.init
	l.mu.Unlock()
	if s == nil || s.given == nil || child == nil {
		return taken, errNoSpot
	}
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	gone := s.given
	err = l.disallow(gone.mounts)
	taken.Cut = err == nil && l.judged()
	err = errors.Join(err, inMountsOf(child.pid(), func() error { return putBack(s) }))
	s.given = nil
	err = errors.Join(err, l.sever(ctx, gone, &taken), gone.tree.Close())
	if err != nil { // who cannot be cut off does not go on
		l.kill()
		return taken, fmt.Errorf("take back what lies at %s: %w; the app is ended", call.Target, err)
	}
	return taken, nil
}

// putBack takes the folder away and puts the placeholder in its place, where
// there was one.
func putBack(s *spot) error {
	if err := detachHere(s.given.tree); err != nil {
		return err
	}
	if s.hold == nil {
		return nil
	}
	return unix.MoveMount(int(s.hold.Fd()), "", int(s.under.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// sever sees to the files that are still open or mapped.
func (l *launcher) sever(ctx context.Context, gone *folderTree, taken *sandbox.Taken) error {
	l.mu.Lock()
	group, paused, over := l.group, l.paused, l.over
	l.mu.Unlock()
	if group == nil || over {
		return nil // it has ended
	}
	if !paused {
		if err := l.pause(ctx, true); err != nil {
			return err
		}
	}
	users, err := l.usersOf(group, gone)
	if err != nil {
		return err
	}
	taken.Open, taken.Ended = users.open, len(users.mapping)
	if err := users.end(); err != nil {
		return err
	}
	if !paused && taken.Cut {
		return l.pause(ctx, false)
	}
	taken.Paused = !taken.Cut
	return nil
}

// judgedAs is the number by which eBPF programs know the app, 0 where none stands.
func (l *launcher) judgedAs() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.verdicts == nil {
		return 0
	}
	return l.verdicts.cgroup
}

// errMapped ends an app of a user's agent.
var errMapped = errors.New("the app has mapped a file there, and only root may look which process it was")

// usersOf finds who holds files of a folder. Where only root may see mappings,
// LSM programs have noted whether there ever was one.
func (l *launcher) usersOf(group *cgroup, gone *folderTree) (users, error) {
	noted, mapped, err := l.noted(gone.mounts)
	if err != nil {
		return users{}, err
	}
	found, err := usersOf(group, gone.ids, !noted || mapped)
	if noted && mapped && errors.Is(err, fs.ErrPermission) {
		return users{}, errMapped
	}
	return found, err
}

// noted says whether mappings are noted, and whether there was one.
func (l *launcher) noted(mounts []bpf.Mount) (noted, mapped bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.verdicts == nil || !l.verdicts.rules.LSM() {
		return false, false, nil
	}
	for _, m := range mounts {
		was, err := l.verdicts.rules.Mapped(l.verdicts.cgroup, m.ID)
		if err != nil {
			return true, true, err
		}
		mapped = mapped || was
	}
	return true, mapped, nil
}

// judged says whether LSM programs judge this sandbox.
func (l *launcher) judged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.verdicts != nil && l.verdicts.rules.LSM()
}

func (l *launcher) allow(mounts []bpf.Mount) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.verdicts == nil {
		return nil
	}
	return l.verdicts.allow(mounts)
}

func (l *launcher) disallow(mounts []bpf.Mount) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.verdicts == nil {
		return nil
	}
	return l.verdicts.disallow(mounts)
}

// allow adds rights for mounts while the app runs.
func (v *verdicts) allow(mounts []bpf.Mount) error {
	for _, m := range mounts {
		m.Rights |= bpf.Noted
		if v.pinned != 0 {
			m.Rights &^= bpf.Exec
		}
		if err := v.rules.Grant(v.cgroup, m); err != nil {
			return err
		}
		v.sandbox.Mounts = append(v.sandbox.Mounts, m)
	}
	return nil
}

// disallow takes them away: from the call on, no open file of theirs can be
// read or written.
func (v *verdicts) disallow(mounts []bpf.Mount) error {
	var errs error
	for _, m := range mounts {
		i := slices.IndexFunc(v.sandbox.Mounts, func(have bpf.Mount) bool { return have.ID == m.ID })
		if i < 0 {
			continue
		}
		m = v.sandbox.Mounts[i]
		v.sandbox.Mounts = slices.Delete(v.sandbox.Mounts, i, i+1)
		errs = errors.Join(errs, v.rules.Revoke(v.cgroup, m, v.sandbox.Mounts))
	}
	return errs
}
