package ninep

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// create makes a file that was not there.
func (f *folder) create(name string, flags int, perm fs.FileMode) (*os.File, error) {
	made, err := f.root.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	if err := settleMode(made, perm); err != nil { // the agent's umask is not the app's
		made.Close()
		return nil, err
	}
	return made, nil
}

func (s *session) makeFolder(r *request, w *writer) error {
	number, name, mode := r.in.u32(), r.in.word(), r.in.u32()
	r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	return s.making(f, name, func(_ *given, dir *folder) error {
		if err := dir.root.Mkdir(name, permOf(mode)); err != nil {
			return err
		}
		info, err := dir.visible(name)
		if err != nil {
			return err
		}
		made, err := dir.enter(name, info)
		if err != nil {
			return err
		}
		defer made.root.Close()
		w.id(idOf(info))
		return made.root.Chmod(".", permOf(mode))
	})
}

// maxLink bounds the text of a symbolic link (PATH_MAX of Linux).
const maxLink = 4096

// makeLink makes a symbolic link. Where it leads is the guest's business: nobody
// follows it here.
func (s *session) makeLink(r *request, w *writer) error {
	number, name, text := r.in.u32(), r.in.word(), r.in.word()
	r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	if text == "" || len(text) >= maxLink {
		return eNameLong
	}
	return s.making(f, name, func(_ *given, dir *folder) error {
		if err := dir.root.Symlink(text, name); err != nil {
			return err
		}
		info, err := dir.visible(name)
		if err != nil {
			return err
		}
		w.id(idOf(info))
		return nil
	})
}

func (s *session) readLink(r *request, w *writer) error {
	number := r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	return s.within(f, ".", func(g *given, f *file) error {
		if f.self != nil || f.open != nil {
			return eInvalid
		}
		if read, _ := g.rights(f.path()); !read {
			return eAccess
		}
		text, err := f.in.root.Readlink(f.name)
		if err != nil {
			return err
		}
		if len(text) >= maxLink {
			return eNameLong
		}
		w.word(text)
		return nil
	})
}

// link gives a file another name, where both may be changed.
func (s *session) link(r *request, _ *writer) error {
	to, from, name := r.in.u32(), r.in.u32(), r.in.word()
	if err := r.in.done(); err != nil {
		return err
	}
	dir, err := s.find(to)
	if err != nil {
		return err
	}
	source, err := s.find(from)
	if err != nil {
		return err
	}
	return s.making(dir, name, func(g *given, dir *folder) error {
		if source.given != g || source.in == nil || source.self != nil {
			return eStale
		}
		if err := g.writable(source.path()); err != nil {
			return err
		}
		info, err := source.in.visible(source.name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return ePerm
		}
		return linkBetween(g.top, source.in, source.name, dir, name)
	})
}

func (s *session) rename(r *request, _ *writer) error {
	from, old, to, name := r.in.u32(), r.in.word(), r.in.u32(), r.in.word()
	if err := r.in.done(); err != nil {
		return err
	}
	if err := checkName(old); err != nil {
		return err
	}
	source, err := s.find(from)
	if err != nil {
		return err
	}
	target, err := s.find(to)
	if err != nil {
		return err
	}
	return s.making(target, name, func(g *given, into *folder) error {
		outOf := source.self
		if source.top() && s.place.current() == g {
			outOf = g.top
		}
		if outOf == nil || !source.top() && source.given != g {
			return eStale
		}
		if err := g.mayMove(outOf, old, into, name); err != nil {
			return err
		}
		if err := renameBetween(g.top, outOf, old, into, name); err != nil {
			return err
		}
		s.moved(g, outOf, old, into, name)
		return nil
	})
}

// mayMove says whether a name may come to another place, over what is there.
func (g *given) mayMove(outOf *folder, old string, into *folder, name string) error {
	if err := g.writable(outOf.at(old)); err != nil {
		return err
	}
	if g.pinned(outOf.at(old)) || g.pinned(into.at(name)) {
		return eBusy
	}
	if _, err := outOf.visible(old); err != nil {
		return err
	}
	if _, err := into.visible(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return eAccess // what is not shown is not replaced
	}
	return nil
}

// moved has the guest's numbers follow a file that has another name now.
func (s *session) moved(g *given, outOf *folder, old string, into *folder, name string) {
	for _, f := range s.files {
		if f.given == g && f.in != nil && f.in.id == outOf.id && f.name == old {
			before := f.in
			f.in, f.name = into, name
			s.letGoFolder(g, before)
		}
	}
}

// removeFolder is AT_REMOVEDIR.
const removeFolder = 0x200

func (s *session) unlink(r *request, _ *writer) error {
	number, name, flags := r.in.u32(), r.in.word(), r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	return s.making(f, name, func(g *given, dir *folder) error {
		if g.pinned(dir.at(name)) {
			return eBusy
		}
		info, err := dir.visible(name)
		switch {
		case err != nil:
			return err
		case info.IsDir() && flags&removeFolder == 0:
			return eIsFolder
		case !info.IsDir() && flags&removeFolder != 0:
			return eNoFolder
		}
		return dir.root.Remove(name)
	})
}

// listing is a folder that is read from its beginning on.
type listing struct {
	given *given
	dir   *folder

	open *os.File
	next uint64 // offset of what comes
	kept []fs.DirEntry
}

// batch is how many names are read at once.
const batch = 256

func (l *listing) close() {
	if l.open != nil {
		l.given.drop(l.open)
		l.open = nil
	}
	l.next, l.kept = 0, nil
}

// peek is what comes, nil at the end.
func (l *listing) peek() (fs.DirEntry, error) {
	if len(l.kept) > 0 {
		return l.kept[0], nil
	}
	var err error
	l.kept, err = l.open.ReadDir(batch)
	if errors.Is(err, io.EOF) || len(l.kept) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return l.kept[0], nil
}

func (l *listing) skip() {
	l.kept = l.kept[1:]
	l.next++
}

// seek goes to an offset: on, or from the beginning.
func (l *listing) seek(offset uint64) (err error) {
	if l.open == nil || offset < l.next {
		l.close()
		if l.open, err = l.dir.root.Open("."); err != nil {
			return err
		}
		l.given.keep(l.open)
	}
	for l.next < offset {
		entry, err := l.peek()
		if entry == nil || err != nil {
			return err
		}
		l.skip()
	}
	return nil
}

// Kinds of an entry as Linux has them.
const (
	entryFolder = 4
	entryLink   = 10
	entryFile   = 8
	entryHead   = qidLen + 8 + 1 + 2 // id, offset, kind, length of the name
)

// own are the entries that every folder has, "." and "..", before all others.
const own = 2

// writeOwn adds them. Of the folder above only the kernel knows.
func (l *listing) writeOwn(offset uint64, w *writer) error {
	info, err := l.dir.root.Stat(".")
	if err != nil {
		return err
	}
	for ; offset < own; offset++ {
		w.id(idOf(info))
		w.u64(offset + 1)
		w.u8(entryFolder)
		w.word([own]string{".", ".."}[offset])
	}
	return nil
}

// list reads on in a folder. The offset of an entry is that of the next.
func (s *session) list(r *request, w *writer) error {
	number, offset, count := r.in.u32(), r.in.u64(), r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	if f.listing == nil {
		return eBadFile
	}
	l, room := f.listing, int(min(count, s.size.Load()-ioHeader))
	return l.given.use(func() error {
		if err := l.seek(max(offset, own) - own); err != nil {
			return err
		}
		at := len(w.b)
		w.u32(0)
		start := len(w.b)
		if room >= own*(entryHead+own) {
			if err := l.writeOwn(offset, w); err != nil {
				return err
			}
		}
		for {
			entry, err := l.peek()
			if err != nil {
				return err
			}
			if entry == nil || len(w.b)-start+entryHead+len(entry.Name()) > room {
				break
			}
			l.skip()
			l.write(entry, w)
		}
		putU32(w.b[at:], len(w.b)-start)
		return nil
	})
}

// write adds an entry, if it is one that is shown.
func (l *listing) write(entry fs.DirEntry, w *writer) {
	info, err := entry.Info()
	if err != nil || !shown(info.Mode()) {
		return
	}
	id := idOf(info)
	w.id(id)
	w.u64(l.next + own)
	w.u8(map[byte]byte{qidFolder: entryFolder, qidLink: entryLink, qidFile: entryFile}[id.kind])
	w.word(entry.Name())
}

func (s *session) space(r *request, w *writer) error {
	number := r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	if _, err := s.find(number); err != nil {
		return err
	}
	room := spaceOf(s.place.current())
	const magic = 0x01021997 // V9FS_MAGIC
	w.u32(magic)
	w.u32(blockSize)
	w.u64(room.blocks)
	w.u64(room.free)
	w.u64(room.free)
	w.u64(0)
	w.u64(0)
	w.u64(0)
	w.u32(maxName)
	return nil
}

// room of a file system, in blocks of blockSize.
type room struct{ blocks, free uint64 }
