package wasi

import (
	"os"

	"github.com/consentry/consentry/wasmhost/abi"
)

type kind int

const (
	stream    kind = iota // a standard stream
	file                  // a regular file in a mount
	directory             // a mount, or a directory in one
)

// descriptor is what a file descriptor of the guest stands for.
type descriptor struct {
	kind    kind
	stream  *standardStream
	file    *os.File
	root    *os.Root
	preopen string // of a mount: where the guest sees it
	// depth is the number of directories between the mount and this one.
	depth    int
	readOnly bool // of a directory
	rights   uint64
	inherit  uint64
	flags    uint16
	entries  []entry // of a directory, as of the last rewind
}

// Flags of a descriptor.
const (
	flagAppend   = 1 << 0
	flagDsync    = 1 << 1
	flagNonblock = 1 << 2
	flagRsync    = 1 << 3
	flagSync     = 1 << 4
	flagsKnown   = 1<<5 - 1
)

func (d *descriptor) close() {
	switch d.kind {
	case file:
		d.file.Close()
	case directory:
		d.root.Close()
	}
}

// add gives d the lowest free number.
func (s *System) add(d *descriptor) (uint32, abi.Errno) {
	if len(s.fds) >= s.maxFDs {
		return 0, abi.EMFILE
	}
	fd := s.free
	for s.fds[fd] != nil {
		fd++
	}
	s.fds[fd], s.free = d, fd+1
	return fd, abi.OK
}

// remove forgets a number; its descriptor is the caller's.
func (s *System) remove(fd uint32) {
	delete(s.fds, fd)
	s.free = min(s.free, max(fd, 3))
}

// get returns the descriptor if it has all of rights.
func (s *System) get(fd uint32, rights uint64) (*descriptor, abi.Errno) {
	d := s.fds[fd]
	if d == nil {
		return nil, abi.EBADF
	}
	if d.rights&rights != rights {
		return nil, abi.ENOTCAPABLE
	}
	return d, abi.OK
}

// regular returns a file of a mount. Directories and streams are not what the
// functions that need it work on.
func (s *System) regular(fd uint32, rights uint64) (*descriptor, abi.Errno) {
	d := s.fds[fd]
	switch {
	case d == nil, d.kind == directory:
		return nil, abi.EBADF
	case d.kind == stream:
		return nil, abi.ESPIPE
	case d.rights&rights != rights:
		return nil, abi.ENOTCAPABLE
	}
	return d, abi.OK
}

// dir returns a directory.
func (s *System) dir(fd uint32, rights uint64) (*descriptor, abi.Errno) {
	d := s.fds[fd]
	switch {
	case d == nil:
		return nil, abi.EBADF
	case d.kind != directory:
		return nil, abi.ENOTDIR
	case d.rights&rights != rights:
		return nil, abi.ENOTCAPABLE
	}
	return d, abi.OK
}
