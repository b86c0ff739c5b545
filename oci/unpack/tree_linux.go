package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/ownids"
)

// Bounds on open directories: those kept between entries, and the steps one
// entry may take.
const (
	maxOpenDirs = 256
	maxSteps    = 4 * maxDepth
)

// beneath is how every path below the root is opened: the kernel itself
// refuses symbolic links, mount points and climbing.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// tree is a layer's directory while it is filled. Symbolic links on the way to
// an entry are resolved here, against the layer alone and never above its root;
// the kernel only ever sees paths without links.
type tree struct {
	rootFD int
	root_  *os.Root
	asRoot bool // may give files away to their owners
	budget budget
	res    Result

	dirs  map[string]*openDir // by path as written
	stale bool                // a directory or link went away: dirs may lie
	steps int                 // of this entry
	hops  int

	meta      map[string]*tar.Header // explicit directories by real path, written at the end
	implied   map[string]bool
	whiteouts map[string]bool
	dropped   map[string]bool // device nodes left out
	links     map[string]link // hard links to what the layer lacks; an empty file holds their place
	order     int

	buf       []byte
	unchecked int64 // bytes written since the disk was last looked at
}

// openDir is a directory of the layer.
type openDir struct {
	fd    int
	real  string // path without links
	alias bool   // fd belongs to another openDir
}

func openTree(dir string, limits Limits) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "open", Path: dir, Err: err}, root.Close())
	}
	t := &tree{
		rootFD: fd, root_: root, asRoot: ownids.MayGive(),
		budget: budget{limits: limits},
		dirs:   map[string]*openDir{".": {fd: fd, real: "."}},
		meta:   map[string]*tar.Header{}, implied: map[string]bool{},
		whiteouts: map[string]bool{}, dropped: map[string]bool{}, links: map[string]link{},
		buf: make([]byte, copyBuffer),
	}
	return t, t.checkDisk(0)
}

func (t *tree) close() error {
	t.flush()
	return errors.Join(unix.Close(t.rootFD), t.root_.Close())
}

// flush forgets all open directories but the root.
func (t *tree) flush() {
	for path, d := range t.dirs {
		if path == "." {
			continue
		}
		if !d.alias {
			unix.Close(d.fd)
		}
		delete(t.dirs, path)
	}
	t.stale = false
}

// begin opens the account of one entry.
func (t *tree) begin(hdr *tar.Header) error {
	if t.stale || len(t.dirs) > maxOpenDirs {
		t.flush()
	}
	t.steps, t.hops = 0, 0
	if err := t.budget.entry(hdr.Name, hdr.Size); err != nil {
		return err
	}
	return t.checkDisk(entryCost)
}

// errNotHere: the layer itself has no such path.
var errNotHere = errors.New("not in this layer")

// open returns the directory path (as written, clean), following the layer's
// own links, creating what is missing when create is set.
func (t *tree) open(path string, create bool) (*openDir, error) {
	if d := t.dirs[path]; d != nil {
		return d, nil
	}
	up, base := split(path)
	parent, err := t.open(up, create)
	if err != nil {
		return nil, err
	}
	d, err := t.step(parent, base, create)
	if err != nil {
		return nil, err
	}
	if prev := t.dirs[path]; prev != nil { // a link led here meanwhile
		if !d.alias {
			unix.Close(d.fd)
		}
		return prev, nil
	}
	t.dirs[path] = d
	return d, nil
}

// step goes from parent to its child base.
func (t *tree) step(parent *openDir, base string, create bool) (*openDir, error) {
	if t.steps++; t.steps > maxSteps {
		return nil, hostile(join(parent.real, base), "more than %d steps to a parent", maxSteps)
	}
	real := join(parent.real, base)
	fd, err := t.openReal(real)
	switch {
	case err == nil:
		return &openDir{fd: fd, real: real}, nil
	case errors.Is(err, unix.ENOENT) && create:
		return t.imply(parent, base, false)
	case errors.Is(err, unix.ENOENT):
		return nil, errNotHere
	case errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR):
		return t.through(parent, base, create)
	}
	return nil, &os.PathError{Op: "open", Path: real, Err: err}
}

// openReal opens a directory by its real path.
func (t *tree) openReal(real string) (int, error) {
	return openat2(t.rootFD, real, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

func openat2(dirfd int, path string, flags uint64) (int, error) {
	for {
		fd, err := unix.Openat2(dirfd, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: beneath})
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// through handles a parent that is no directory: a link is followed, a
// whiteout gives way to a directory that hides what it hid.
func (t *tree) through(parent *openDir, base string, create bool) (*openDir, error) {
	real := join(parent.real, base)
	var st unix.Stat_t
	if err := unix.Fstatat(parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "stat", Path: real, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return t.follow(parent, base, create)
	case isWhiteoutStat(&st) && !create:
		return nil, errNotHere
	case isWhiteoutStat(&st):
		if err := t.clear(parent, base); err != nil {
			return nil, err
		}
		return t.imply(parent, base, true)
	}
	return nil, hostile(real, "used as a directory, but it is none")
}

// follow resolves the link base of parent inside the layer.
func (t *tree) follow(parent *openDir, base string, create bool) (*openDir, error) {
	real := join(parent.real, base)
	if t.hops++; t.hops > maxLinkHops {
		return nil, hostile(real, "more than %d symbolic links", maxLinkHops)
	}
	n, err := unix.Readlinkat(parent.fd, base, t.buf[:maxPath+1])
	if err != nil {
		return nil, &os.PathError{Op: "readlink", Path: real, Err: err}
	}
	target := string(t.buf[:n])
	at := parent
	if strings.HasPrefix(target, "/") {
		at = t.dirs["."]
	}
	for part := range strings.SplitSeq(target, "/") {
		var next string
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && at.real == ".":
			return nil, hostile(real, "written through the link to %.200q, which leaves the image", target)
		case part == "..":
			next, _ = split(at.real)
		default:
			next = join(at.real, part)
		}
		if at, err = t.open(next, create); err != nil {
			return nil, err
		}
	}
	return &openDir{fd: at.fd, real: at.real, alias: true}, nil
}

// imply makes a directory that the stream did not name.
func (t *tree) imply(parent *openDir, base string, opaque bool) (*openDir, error) {
	real := join(parent.real, base)
	if err := t.budget.entry(real, 0); err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(parent.fd, base, 0o700); err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: real, Err: err}
	}
	t.created(real)
	fd, err := t.openReal(real)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: real, Err: err}
	}
	t.implied[real] = true
	d := &openDir{fd: fd, real: real}
	if opaque {
		err = setOpaque(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mark %s opaque: %w", real, err)
	}
	return d, nil
}

// clear removes base from parent, whatever it is, and all that is known of it.
func (t *tree) clear(parent *openDir, base string) error {
	real := join(parent.real, base)
	var st unix.Stat_t
	if err := unix.Fstatat(parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return &os.PathError{Op: "stat", Path: real, Err: err}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		t.stale = true
		return t.root_.RemoveAll(real)
	case unix.S_IFLNK:
		t.stale = true
	}
	if err := unix.Unlinkat(parent.fd, base, 0); err != nil {
		return &os.PathError{Op: "unlink", Path: real, Err: err}
	}
	return nil
}

// created drops what was noted of an earlier owner of the path real. Every
// creation calls it, so a note speaks of what is there now or of nothing: when
// a parent was removed, the notes below it are stale and finish skips them.
func (t *tree) created(real string) {
	delete(t.meta, real)
	delete(t.implied, real)
	delete(t.whiteouts, real)
	delete(t.dropped, real)
	delete(t.links, real)
}
