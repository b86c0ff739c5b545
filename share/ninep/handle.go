package ninep

import (
	"errors"
	"io"
	"math"
	"os"
)

// handlers are the messages that are answered. What is not here is not
// supported: extended attributes, devices, sockets and FIFOs among them.
var handlers = map[byte]func(*session, *request, *writer) error{
	tVersion:  (*session).version,
	tAttach:   (*session).attach,
	tFlush:    func(s *session, r *request, _ *writer) error { return s.flush(r) },
	tWalk:     (*session).walk,
	tClunk:    (*session).close,
	tRemove:   (*session).remove,
	tGetAttr:  (*session).getAttr,
	tSetAttr:  (*session).setAttr,
	tLopen:    (*session).open,
	tLcreate:  (*session).create,
	tRead:     (*session).readFile,
	tWrite:    (*session).writeFile,
	tFsync:    (*session).sync,
	tReaddir:  (*session).list,
	tReadlink: (*session).readLink,
	tMkdir:    (*session).makeFolder,
	tSymlink:  (*session).makeLink,
	tLink:     (*session).link,
	tRenameAt: (*session).rename,
	tUnlinkAt: (*session).unlink,
	tStatFS:   (*session).space,
	tLock:     (*session).lock,
	tGetLock:  (*session).getLock,
}

// handle answers into w.
func (s *session) handle(r *request, w *writer) error {
	do := handlers[r.kind]
	if do == nil {
		return eUnsupported
	}
	return do(s, r, w)
}

func (s *session) version(r *request, w *writer) error {
	size, name := r.in.u32(), r.in.word()
	if err := r.in.done(); err != nil {
		return err
	}
	size = min(size, MaxMessage)
	if size < firstMessage || name != version {
		size, name = firstMessage, "unknown"
	}
	for number := range s.files { // a version begins anew
		if err := s.clunk(number); err != nil {
			return err
		}
	}
	for tag := range s.asking {
		s.abandon(tag)
	}
	s.size.Store(size)
	w.u32(size)
	w.word(name)
	return nil
}

// attach gives the place itself. Names of users and trees mean nothing here.
func (s *session) attach(r *request, w *writer) error {
	number := r.in.u32()
	r.in.u32()
	r.in.word()
	r.in.word()
	r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	if err := s.put(number, &file{}); err != nil {
		return err
	}
	w.id(placeID)
	return nil
}

// placeID is the place's own, whatever folder is there.
var placeID = qid{kind: qidFolder, path: 1}

// walk finds a file by its name, part by part.
func (s *session) walk(r *request, w *writer) error {
	from, to, n := r.in.u32(), r.in.u32(), int(r.in.u16())
	if n > maxWalk {
		return errMessage
	}
	names := make([]string, n)
	for i := range names {
		names[i] = r.in.word()
	}
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(from)
	if err != nil {
		return err
	}
	if f.open != nil || f.listing != nil && n > 0 {
		return eBadFile
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if n == 0 {
		return s.clone(f, from, to, w)
	}
	return s.within(f, names[0], func(g *given, f *file) error {
		found, ids, err := s.follow(g, f, names)
		if len(ids) == 0 {
			return err
		}
		w.u16(uint16(len(ids))) //nolint:gosec // at most maxWalk
		for _, id := range ids {
			w.id(id)
		}
		if len(ids) < n { // as far as it went: that is no error, and no file
			return nil
		}
		old := s.files[to]
		if to == from {
			delete(s.files, to)
		}
		err = s.put(to, found)
		if err != nil {
			s.letGo(g, found)
		} else if to == from {
			s.letGo(g, old)
		}
		return err
	})
}

// clone gives a file another number.
func (s *session) clone(f *file, from, to uint32, w *writer) error {
	w.u16(0)
	if from == to {
		return nil
	}
	return s.put(to, &file{given: f.given, in: f.in, name: f.name, self: f.self})
}

// follow walks as far as it can.
func (s *session) follow(g *given, f *file, names []string) (found *file, ids []qid, err error) {
	at := f.self
	var opened []*folder
	defer func() {
		for _, dir := range opened {
			if found == nil || dir != found.self && dir != found.in {
				g.drop(dir.root)
			}
		}
	}()
	for i, name := range names {
		if at == nil {
			return nil, ids, eNoFolder
		}
		if read, _ := g.rights(at.path); !read {
			return nil, ids, eAccess
		}
		info, err := at.visible(name)
		if err != nil {
			return nil, ids, err
		}
		step := &file{given: g, in: at, name: name}
		if read, _ := g.rights(at.at(name)); info.IsDir() && read {
			if step.self, err = at.enter(name, info); err != nil {
				return nil, ids, err
			}
			g.keep(step.self.root)
			opened = append(opened, step.self)
		}
		ids = append(ids, idOf(info))
		at = step.self
		if i == len(names)-1 {
			found = step
		}
	}
	return found, ids, nil
}

func (s *session) close(r *request, _ *writer) error {
	number := r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	return s.clunk(number)
}

// remove is not what Linux uses; whatever it answers, the number is free.
func (s *session) remove(r *request, w *writer) error {
	if err := s.close(r, w); err != nil {
		return err
	}
	return eUnsupported
}

// Flags of an open, as Linux has them on x86-64 and in the protocol.
const (
	flagWrite    = 0o1
	flagBoth     = 0o2
	flagMode     = 0o3
	flagExcl     = 0o200
	flagTrunc    = 0o1000
	flagAppend   = 0o2000
	flagDataSync = 0o10000
	flagSync     = 0o4000000
)

// systemFlags are those of this system; a file is emptied after it was looked at.
func systemFlags(flags uint32) int {
	mode := os.O_RDONLY
	switch flags & flagMode {
	case flagWrite:
		mode = os.O_WRONLY
	case flagBoth:
		mode = os.O_RDWR
	}
	if flags&flagAppend != 0 {
		mode |= os.O_APPEND
	}
	if flags&(flagSync|flagDataSync) != 0 {
		mode |= os.O_SYNC
	}
	return mode
}

// mayOpen says whether what lies at a path may be opened like that.
func (g *given) mayOpen(name string, flags uint32) error {
	if flags&flagMode == flagMode {
		return eInvalid
	}
	if read, _ := g.rights(name); !read {
		return eAccess
	}
	if flags&flagMode != 0 || flags&flagTrunc != 0 {
		return g.writable(name)
	}
	return nil
}

func (s *session) open(r *request, w *writer) error {
	number, flags := r.in.u32(), r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	own, err := s.find(number)
	if err != nil {
		return err
	}
	if own.open != nil || own.listing != nil {
		return eBadFile
	}
	return s.within(own, ".", func(g *given, f *file) error {
		if err := g.mayOpen(f.path(), flags); err != nil {
			return err
		}
		if f.self != nil {
			if flags&flagMode != 0 {
				return eIsFolder
			}
			own.listing = &listing{given: g, dir: f.self}
			info, err := f.self.root.Stat(".")
			if err != nil {
				return err
			}
			w.id(idOf(info))
			w.u32(0)
			return nil
		}
		opened, err := f.in.open(f.name, systemFlags(flags))
		if err != nil {
			return err
		}
		return g.opened(own, opened, flags, w)
	})
}

// opened keeps an open file and says so.
func (g *given) opened(f *file, opened *os.File, flags uint32, w *writer) error {
	info, err := opened.Stat()
	if err == nil && flags&flagTrunc != 0 {
		err = opened.Truncate(0)
	}
	if err != nil {
		opened.Close()
		return err
	}
	g.keep(opened)
	f.open, f.append = opened, flags&flagAppend != 0
	w.id(idOf(info))
	w.u32(0) // as much at once as a message holds
	return nil
}

// create makes a file in a folder and opens it; the number is the file's then.
func (s *session) create(r *request, w *writer) error {
	number, name, flags, mode := r.in.u32(), r.in.word(), r.in.u32(), r.in.u32()
	r.in.u32() // the group: the folder's owner's, whoever asks
	if err := r.in.done(); err != nil {
		return err
	}
	own, err := s.find(number)
	if err != nil {
		return err
	}
	return s.making(own, name, func(g *given, dir *folder) error {
		if err := g.mayOpen(dir.at(name), flags); err != nil {
			return err
		}
		opened, err := dir.create(name, systemFlags(flags), permOf(mode))
		if errors.Is(err, os.ErrExist) && flags&flagExcl == 0 {
			opened, err = dir.open(name, systemFlags(flags))
		}
		if err != nil {
			return err
		}
		made := &file{given: g, in: dir, name: name}
		if err := g.opened(made, opened, flags, w); err != nil {
			return err
		}
		s.files[number] = made
		s.letGo(g, own)
		return nil
	})
}

// making calls do where a folder may get something of that name.
func (s *session) making(f *file, name string, do func(g *given, dir *folder) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	if f.open != nil || f.listing != nil {
		return eBadFile
	}
	return s.within(f, name, func(g *given, f *file) error {
		if f.self == nil {
			return eNoFolder
		}
		if err := g.writable(f.self.at(name)); err != nil {
			return err
		}
		return do(g, f.self)
	})
}

// inOpen calls do with a file that is open.
func (s *session) inOpen(number uint32, do func(f *file) error) error {
	f, err := s.find(number)
	if err != nil {
		return err
	}
	if f.open == nil {
		return eBadFile
	}
	return s.within(f, "", func(*given, *file) error { return do(f) })
}

func (s *session) readFile(r *request, w *writer) error {
	number, offset, count := r.in.u32(), r.in.u64(), r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	if offset > math.MaxInt64 {
		return eInvalid
	}
	return s.inOpen(number, func(f *file) error {
		count := min(count, s.size.Load()-ioHeader)
		at := len(w.b)
		w.u32(0)
		start := len(w.b)
		w.b = append(w.b, make([]byte, count)...)
		n, err := f.open.ReadAt(w.b[start:], int64(offset))
		if err != nil && !errors.Is(err, io.EOF) && n == 0 {
			return err
		}
		w.b = w.b[:start+n]
		putU32(w.b[at:], n)
		return nil
	})
}

func (s *session) writeFile(r *request, w *writer) error {
	number, offset, data := r.in.u32(), r.in.u64(), r.in.data()
	if err := r.in.done(); err != nil {
		return err
	}
	if offset > math.MaxInt64 {
		return eInvalid
	}
	return s.inOpen(number, func(f *file) error {
		var n int
		var err error
		if f.append {
			n, err = f.open.Write(data)
		} else {
			n, err = f.open.WriteAt(data, int64(offset))
		}
		if err != nil && n == 0 {
			return err
		}
		w.u32(uint32(n)) //nolint:gosec // at most MaxMessage
		return nil
	})
}

func (s *session) sync(r *request, _ *writer) error {
	number := r.in.u32()
	r.in.u32()
	if err := r.in.done(); err != nil {
		return err
	}
	f, err := s.find(number)
	if err != nil {
		return err
	}
	if f.open == nil {
		return nil // a folder: there is nothing of it that waits here
	}
	return s.inOpen(number, func(f *file) error { return f.open.Sync() })
}

// Answers about locks.
const (
	lockDone = 0 // P9_LOCK_SUCCESS: the guest's kernel has seen to it
	unlocked = 2 // F_UNLCK: nobody outside of the guest is in the way
)

func (s *session) lock(r *request, w *writer) error {
	if err := s.lockRequest(r, true); err != nil {
		return err
	}
	w.u8(lockDone)
	return nil
}

func (s *session) getLock(r *request, w *writer) error {
	body := reader{rest: r.in.rest}
	if err := s.lockRequest(r, false); err != nil {
		return err
	}
	body.take(5) //nolint:mnd // number and kind
	w.u8(unlocked)
	w.b = append(w.b, body.rest...)
	return nil
}

// lockRequest reads a request about a lock of an open file.
func (s *session) lockRequest(r *request, withFlags bool) error {
	number := r.in.u32()
	r.in.u8()
	if withFlags {
		r.in.u32()
	}
	r.in.u64()
	r.in.u64()
	r.in.u32()
	r.in.word()
	if err := r.in.done(); err != nil {
		return err
	}
	return s.inOpen(number, func(*file) error { return nil })
}
