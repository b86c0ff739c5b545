package ninep

import (
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"time"
)

// Modes as Linux has them.
const (
	modeFolder  = 0o040000
	modeLink    = 0o120000
	modeFile    = 0o100000
	modePerm    = 0o777
	modeSpecial = 0o7000 // set-uid, set-gid, sticky

	// placeMode is the place's own, whatever folder is there: the server judges.
	placeMode = modeFolder | 0o755
)

func putU32(b []byte, n int) { binary.LittleEndian.PutUint32(b, uint32(n)) } //nolint:gosec // at most MaxMessage

func permOf(mode uint32) fs.FileMode { return fs.FileMode(mode & modePerm) }

// modeOf is a mode without what makes a file run as another.
func modeOf(mode fs.FileMode) uint32 {
	perm := uint32(mode.Perm())
	switch {
	case mode.IsDir():
		return modeFolder | perm
	case mode.Type() == fs.ModeSymlink:
		return modeLink | perm
	}
	return modeFile | perm
}

func idOf(info fs.FileInfo) qid {
	id := qid{kind: qidFile, path: pathOf(identify(info))}
	switch {
	case info.IsDir():
		id.kind = qidFolder
	case info.Mode().Type() == fs.ModeSymlink:
		id.kind = qidLink
	}
	return id
}

// pathOf makes one number out of a device's and a file's. The place has 1.
func pathOf(id identifier) uint64 {
	const odd = 0x9e3779b97f4a7c15       // spreads the devices over all bits
	return max(id.file^id.device*odd, 2) //nolint:mnd // above the place's
}

// stat is what a file says of itself now.
func (f *file) stat() (fs.FileInfo, error) {
	switch {
	case f.open != nil:
		return f.open.Stat()
	case f.self != nil:
		return f.self.root.Stat(".")
	}
	return f.in.visible(f.name)
}

func (s *session) getAttr(r *request, w *writer) error {
	number := r.in.u32()
	r.in.u64() // which are wanted: all are told
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	owner := s.place.owner
	if f.top() { // that there is such a place is no secret, and asks nobody
		attributes{id: placeID, mode: placeMode, owner: owner, links: 2, block: blockSize}.write(w) //nolint:mnd // a folder's
		return nil
	}
	return s.within(f, "", func(g *given, f *file) error {
		info, err := f.stat()
		if err != nil {
			return err
		}
		a := attributes{id: idOf(info), mode: modeOf(info.Mode()), owner: owner, size: uint64(info.Size()), links: 1, block: blockSize, modified: info.ModTime()} //nolint:gosec // no size is negative
		a.blocks = (a.size + 511) / 512                                                                                                                           //nolint:mnd // as stat(2) counts
		a.accessed, a.changed = a.modified, a.modified
		if !detail(info, &a, g.as) {
			a.owner = nobody
		}
		if read, _ := g.rights(f.path()); !read {
			a.mode &^= modePerm
			a.size, a.blocks = 0, 0
		}
		a.write(w)
		return nil
	})
}

// nobody is who owns what the folder's owner does not.
var nobody = Owner{UID: 65534, GID: 65534}

const blockSize = 4096

// attributes are what the guest is told of a file.
type attributes struct {
	id                          qid
	mode                        uint32
	owner                       Owner
	links, size, block, blocks  uint64
	accessed, modified, changed time.Time
}

// basic says that the members up to the times are there: P9_GETATTR_BASIC.
const basic = 0x7ff

func (a attributes) write(w *writer) {
	w.u64(basic)
	w.id(a.id)
	w.u32(a.mode)
	w.u32(a.owner.UID)
	w.u32(a.owner.GID)
	w.u64(a.links)
	w.u64(0) // device: there is none
	w.u64(a.size)
	w.u64(a.block)
	w.u64(a.blocks)
	for _, t := range []time.Time{a.accessed, a.modified, a.changed, {}} {
		seconds, nanos := int64(0), 0
		if !t.IsZero() {
			seconds, nanos = t.Unix(), t.Nanosecond()
		}
		w.u64(uint64(seconds)) //nolint:gosec // as a bit pattern
		w.u64(uint64(nanos))   //nolint:gosec // below a second
	}
	w.u64(0) // generation
	w.u64(0) // version of the data
}

// What a request to change wants changed: P9_ATTR_*.
const (
	setMode        = 1 << 0
	setUID         = 1 << 1
	setGID         = 1 << 2
	setSize        = 1 << 3
	setAccessed    = 1 << 4
	setModified    = 1 << 5
	setAccessedTo  = 1 << 7
	setModifiedTo  = 1 << 8
	setSomethingOf = setMode | setUID | setGID | setSize | setAccessed | setModified
)

// change is a request to change attributes.
type change struct {
	what               uint32
	mode, uid, gid     uint32
	size               uint64
	accessed, modified time.Time
}

func readChange(in *reader) change {
	c := change{what: in.u32(), mode: in.u32(), uid: in.u32(), gid: in.u32(), size: in.u64()}
	c.accessed, c.modified = readTime(in), readTime(in)
	return c
}

func readTime(in *reader) time.Time {
	seconds, nanos := int64(in.u64()), int64(in.u64()%uint64(time.Second)) //nolint:gosec // as a bit pattern
	return time.Unix(seconds, nanos)
}

// times are what to set, and what to leave (zero).
func (c change) times(now time.Time) (accessed, modified time.Time) {
	pick := func(set, to uint32, t time.Time) time.Time {
		switch {
		case c.what&set == 0:
			return time.Time{}
		case c.what&to == 0:
			return now
		}
		return t
	}
	return pick(setAccessed, setAccessedTo, c.accessed), pick(setModified, setModifiedTo, c.modified)
}

func (s *session) setAttr(r *request, _ *writer) error {
	number, c := r.in.u32(), readChange(&r.in)
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	owner := s.place.owner
	switch {
	case c.what&setUID != 0 && c.uid != owner.UID, c.what&setGID != 0 && c.gid != owner.GID:
		return ePerm
	case c.what&setMode != 0 && c.mode&modeSpecial != 0:
		return ePerm
	case c.what&setSize != 0 && c.size > math.MaxInt64:
		return eTooBig
	case c.what&setSomethingOf == 0:
		return nil
	}
	return s.within(f, ".", func(g *given, f *file) error {
		if err := g.writable(f.path()); err != nil {
			return err
		}
		if f.self != nil {
			return c.folder(f.self)
		}
		return c.file(f)
	})
}

func (c change) folder(dir *folder) error {
	if c.what&setSize != 0 {
		return eIsFolder
	}
	if c.what&setMode != 0 {
		if err := dir.root.Chmod(".", permOf(c.mode)); err != nil {
			return err
		}
	}
	if c.what&(setAccessed|setModified) == 0 {
		return nil
	}
	accessed, modified := c.times(time.Now())
	return dir.root.Chtimes(".", accessed, modified)
}

// file changes what is open where it is, as its name may be gone, or opens it.
func (c change) file(f *file) (err error) {
	opened := f.open
	if opened == nil {
		if opened, err = f.in.openToChange(f.name, c.what&setSize != 0); err != nil {
			return err
		}
		defer opened.Close()
	}
	if c.what&setMode != 0 {
		if err := opened.Chmod(permOf(c.mode)); err != nil {
			return err
		}
	}
	if c.what&setSize != 0 {
		if err := opened.Truncate(int64(c.size)); err != nil { //nolint:gosec // checked by setAttr
			return err
		}
	}
	if c.what&(setAccessed|setModified) == 0 {
		return nil
	}
	accessed, modified := c.times(time.Now())
	return setTimes(f, opened, accessed, modified)
}

// openToChange opens a file whichever way its mode lets its owner.
func (f *folder) openToChange(name string, write bool) (*os.File, error) {
	opened, err := f.open(name, os.O_WRONLY)
	if err != nil && !write {
		opened, err = f.open(name, os.O_RDONLY)
	}
	return opened, err
}
