package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sort"

	"github.com/consentry/consentry/wasmhost/abi"
)

// maxEntries bounds the entries of one directory that a guest can list.
const maxEntries = 1 << 20

// entry is one line of a directory.
type entry struct {
	name string
	typ  byte
	ino  uint64
}

const direntSize = 24

// fdReaddir lists from a cookie on. A cookie is the number of entries before
// it in the list made at the last cookie 0, so that entries keep their place
// while the directory changes.
func (s *System) fdReaddir(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.dir(c.U32(0), rightReaddir)
	if errno != abi.OK {
		return errno
	}
	buf := c.Mem.Bytes(c.U32(1), c.U32(2))
	cookie := c.U64(3)
	if cookie == 0 || d.entries == nil {
		if errno := d.list(); errno != abi.OK {
			return errno
		}
	}
	used := 0
	for i := cookie; i < uint64(len(d.entries)) && used < len(buf); i++ {
		used += copy(buf[used:], d.entries[i].dirent(i+1))
	}
	c.Mem.PutUint32(c.U32(4), uint32(used))
	return abi.OK
}

// dirent is the entry as the guest reads it; the last one may be cut short.
func (e entry) dirent(next uint64) []byte {
	out := make([]byte, direntSize, direntSize+len(e.name))
	binary.LittleEndian.PutUint64(out, next)
	binary.LittleEndian.PutUint64(out[8:], e.ino)
	binary.LittleEndian.PutUint32(out[16:], uint32(len(e.name)))
	out[20] = e.typ
	return append(out, e.name...)
}

func (d *descriptor) list() abi.Errno {
	const batch = 1024
	dir, err := d.root.Open(".")
	if err != nil {
		return errnoOf(err)
	}
	defer dir.Close()
	self, err := dir.Stat()
	if err != nil {
		return errnoOf(err)
	}
	// The parent's inode is not the guest's business at the top of a mount.
	ino := identify(self).ino
	list := []entry{{".", typeDirectory, ino}, {"..", typeDirectory, ino}}
	for {
		more, err := dir.ReadDir(batch)
		for _, e := range more {
			st, err := e.Info()
			if err != nil {
				continue // it has gone meanwhile
			}
			list = append(list, entry{e.Name(), typeOf(st.Mode()), identify(st).ino})
		}
		switch {
		case errors.Is(err, io.EOF):
			d.entries = finish(list)
			return abi.OK
		case err != nil:
			return errnoOf(err)
		case len(list) > maxEntries:
			return abi.EOVERFLOW
		}
	}
}

// finish sorts the entries, and gives a number to those without an inode,
// which guests take for deleted ones.
func finish(list []entry) []entry {
	names := list[2:]
	sort.Slice(names, func(i, j int) bool { return names[i].name < names[j].name })
	for i := range list {
		if list[i].ino == 0 {
			list[i].ino = uint64(i) + 1
		}
	}
	return list
}
