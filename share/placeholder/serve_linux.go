package placeholder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

const (
	rootInode = 1
	itself    = "."
	rootMode  = fuse.S_IFDIR | 0o555
	// attrTime is how long the kernel may keep what never changes.
	attrTime = time.Hour
	// smallest is what go-fuse takes as the longest write: nothing is written.
	smallest = 4096
)

// Serve answers for the placeholder behind wire, a file of /dev/fuse, until it
// is unmounted for good or wire's other end goes. It takes wire over.
func Serve(ctx context.Context, wire *os.File, owner Owner, ask Ask) error {
	fd, err := unix.FcntlInt(wire.Fd(), unix.F_DUPFD_CLOEXEC, 0) // the server closes what it has
	if err := errors.Join(err, wire.Close()); err != nil {
		return fmt.Errorf("placeholder: %w", err)
	}
	fs := &folder{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), ctx: ctx, owner: owner, ask: ask,
	}
	server, err := fuse.NewServer(fs, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		MaxWrite: smallest, MaxBackground: 1, DisableXAttrs: true, DisableReadDirPlus: true,
		Logger: log.New(io.Discard, "", 0),
	})
	if err != nil {
		return fmt.Errorf("placeholder: %w", err)
	}
	server.Serve()
	return nil
}

// folder is the empty folder. What it does not answer is not implemented.
type folder struct {
	fuse.RawFileSystem
	ctx   context.Context // of the placeholder: a touch that a signal interrupts waits on
	owner Owner
	ask   Ask
}

// stale has the kernel look again.
const stale = fuse.Status(unix.ESTALE)

// touched asks, and has the kernel look again when the folder is there.
func (f *folder) touched(name string) fuse.Status {
	err := f.ask(f.ctx, name)
	switch {
	case err == nil:
		return stale
	case errors.Is(err, sandbox.ErrNothing):
		return fuse.ENOENT
	case errors.Is(err, sandbox.ErrHeld), errors.Is(err, sandbox.ErrBusy):
		return fuse.EAGAIN
	case errors.Is(err, sandbox.ErrDenied):
		return fuse.EACCES
	}
	return fuse.EIO
}

// Lookup is a touch of anything inside.
func (f *folder) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, _ *fuse.EntryOut) fuse.Status {
	return f.touched(name)
}

// OpenDir is a look at what is inside.
func (f *folder) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return f.touched(itself)
}

// Access is asked before a process makes it its working directory.
func (f *folder) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return f.touched(itself) }

// Tmpfile is asked without a look-up before.
func (f *folder) Tmpfile(<-chan struct{}, *fuse.CreateIn, *fuse.CreateOut) fuse.Status {
	return f.touched(itself)
}

// Mkdir and its kin come after a look-up, so after a yes.
func (f *folder) Mkdir(<-chan struct{}, *fuse.MkdirIn, string, *fuse.EntryOut) fuse.Status {
	return stale
}

// Mknod is as Mkdir.
func (f *folder) Mknod(<-chan struct{}, *fuse.MknodIn, string, *fuse.EntryOut) fuse.Status {
	return stale
}

// Symlink is as Mkdir.
func (f *folder) Symlink(<-chan struct{}, *fuse.InHeader, string, string, *fuse.EntryOut) fuse.Status {
	return stale
}

// Link is as Mkdir.
func (f *folder) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return stale
}

// Create is as Mkdir.
func (f *folder) Create(<-chan struct{}, *fuse.CreateIn, string, *fuse.CreateOut) fuse.Status {
	return stale
}

// GetAttr tells that there is a folder, which asks nobody.
func (f *folder) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.NodeId != rootInode {
		return fuse.ENOENT
	}
	out.Attr = fuse.Attr{Ino: rootInode, Mode: rootMode, Nlink: 2, Owner: fuse.Owner{Uid: f.owner.UID, Gid: f.owner.GID}}
	out.SetTimeout(attrTime)
	return fuse.OK
}

// StatFs tells of an empty file system.
func (f *folder) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	*out = fuse.StatfsOut{NameLen: 255, Bsize: 4096}
	return fuse.OK
}
