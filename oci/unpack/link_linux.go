package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// link makes a hard link. Its target is looked for in this layer; one that is
// not here must be in a layer below, which only Settle can tell.
func (t *tree) link(hdr *tar.Header, dir, base string) error {
	target, err := cleanName(hdr.Linkname)
	if err != nil || target == "." {
		return hostile(hdr.Name, "hard link to %.200q", hdr.Linkname)
	}
	role, _, _, err := roleOf(target)
	if err != nil || role != ordinary {
		return hostile(hdr.Name, "hard link to the whiteout %.200q", hdr.Linkname)
	}
	fd, real, err := t.find(target)
	if errors.Is(err, errNotHere) {
		return t.pend(hdr, dir, base, target)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return t.linkTo(hdr, dir, base, fd, real)
}

// find opens (as a handle only) the clean path in this layer, its last
// component not followed.
func (t *tree) find(path string) (fd int, real string, err error) {
	dir, base := split(path)
	parent, err := t.open(dir, false)
	if err != nil {
		return -1, "", err
	}
	real = join(parent.real, base)
	fd, err = openat2(t.rootFD, real, unix.O_PATH|unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return -1, "", errNotHere
	}
	if err != nil {
		return -1, "", &os.PathError{Op: "open", Path: real, Err: err}
	}
	return fd, real, nil
}

func (t *tree) linkTo(hdr *tar.Header, dir, base string, fd int, real string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: real, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return hostile(hdr.Name, "hard link to the directory %.200q", hdr.Linkname)
	case isWhiteoutStat(&st) && t.dropped[real]:
		return t.dropLink(dir, base)
	case isWhiteoutStat(&st):
		return hostile(hdr.Name, "hard link to %.200q, which this layer removes", hdr.Linkname)
	}
	if pending, is := t.links[real]; is {
		return t.pend(hdr, dir, base, pending.target)
	}
	parent, err := t.open(dir, true)
	if err != nil {
		return err
	}
	if join(parent.real, base) == real {
		return nil // a link to itself
	}
	targetDir, targetBase := split(real)
	from, err := t.open(targetDir, false)
	if err != nil {
		return fmt.Errorf("hard link %s: %w", hdr.Name, err)
	}
	create := func() error { return unix.Linkat(from.fd, targetBase, parent.fd, base, 0) }
	return t.make(parent, base, "link", create)
}

// dropLink leaves out another name of a device node.
func (t *tree) dropLink(dir, base string) error {
	parent, err := t.open(dir, true)
	if err != nil {
		return err
	}
	return t.device(parent, base)
}

// pend notes a link for Settle; an empty file holds its place, so that later
// entries replace or remove it like any other.
func (t *tree) pend(hdr *tar.Header, dir, base, target string) error {
	parent, err := t.open(dir, true)
	if err != nil {
		return err
	}
	create := func() error {
		fd, err := unix.Openat(parent.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
	if err := t.make(parent, base, "create", create); err != nil {
		return err
	}
	real := join(parent.real, base)
	if real == target {
		return hostile(hdr.Name, "hard link to itself")
	}
	t.order++
	t.links[real] = link{path: real, target: target, order: t.order}
	return nil
}
