package faultfs

import (
	"context"
	"fmt"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// FS is a mounted file system.
type FS struct {
	server *fuse.Server

	mu    sync.Mutex
	log   []Op
	files int
	fail  func(Op) syscall.Errno
}

// Mount mounts an empty file system at dir.
func Mount(dir string) (*FS, error) {
	f := &FS{}
	never := time.Duration(0)
	server, err := fs.Mount(dir, &node{fs: f, folder: true}, &fs.Options{
		EntryTimeout: &never, AttrTimeout: &never,
		MountOptions: fuse.MountOptions{FsName: "faultfs", Name: "faultfs", DirectMount: true},
	})
	if err != nil {
		return nil, fmt.Errorf("mount faultfs: %w", err)
	}
	f.server = server
	return f, nil
}

// Close unmounts it.
func (f *FS) Close() error { return f.server.Unmount() }

// Mark puts a text of the test into the log.
func (f *FS) Mark(text string) { _ = f.do(Op{Kind: Mark, Path: text}, nil) }

// Log is what was done so far.
func (f *FS) Log() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.log...)
}

// Fail has every op whose error is not 0 fail and change nothing; nil ends that.
func (f *FS) Fail(fail func(Op) syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// do lets an op fail, or does it and writes it down, in one step.
func (f *FS) do(o Op, act func()) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && o.Kind != Mark {
		if errno := f.fail(o); errno != 0 {
			return errno
		}
	}
	if act != nil {
		act()
	}
	f.log = append(f.log, o)
	return 0
}

// node is a file or a folder. Its data is guarded by FS.mu.
type node struct {
	fs.Inode
	fs     *FS
	folder bool
	number int
	data   []byte
}

var (
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
)

// path of a child, "." being the root.
func (n *node) child(name string) string { return path.Join(".", n.Path(nil), name) }

func (n *node) attr(out *fuse.Attr) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	out.Mode, out.Size = 0o600, uint64(len(n.data))
	if n.folder {
		out.Mode = 0o700
	}
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.attr(&out.Attr)
	return 0
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		o := Op{Kind: Truncate, File: n.number, Size: int64(size)} //nolint:gosec // a size of a test's file
		if errno := n.fs.do(o, func() { n.data = resize(n.data, o.Size) }); errno != 0 {
			return errno
		}
	}
	return n.Getattr(ctx, f, out)
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if off >= int64(len(n.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, n.data[off:])]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	o := Op{Kind: Write, File: n.number, Off: off, Data: append([]byte(nil), data...)}
	errno := n.fs.do(o, func() { n.data = put(n.data, data, off) })
	if errno != 0 {
		return 0, errno
	}
	return uint32(len(data)), 0 //nolint:gosec // bounded by FUSE
}

func (n *node) Fsync(_ context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	if n.folder {
		return n.fs.do(Op{Kind: SyncDir, Path: n.child("")}, nil)
	}
	return n.fs.do(Op{Kind: Sync, File: n.number}, nil)
}

func (n *node) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child := &node{fs: n.fs}
	n.fs.mu.Lock()
	n.fs.files++
	child.number = n.fs.files
	n.fs.mu.Unlock()
	if errno := n.fs.do(Op{Kind: Create, File: child.number, Path: n.child(name)}, nil); errno != 0 {
		return nil, nil, 0, errno
	}
	child.attr(&out.Attr)
	inode := n.NewPersistentInode(ctx, child, fs.StableAttr{Mode: syscall.S_IFREG})
	return inode, nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.fs.do(Op{Kind: Mkdir, Path: n.child(name)}, nil); errno != 0 {
		return nil, errno
	}
	child := &node{fs: n.fs, folder: true}
	child.attr(&out.Attr)
	return n.NewPersistentInode(ctx, child, fs.StableAttr{Mode: syscall.S_IFDIR}), 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	o := Op{Kind: Remove, Path: n.child(name)}
	if child, ok := n.GetChild(name).Operations().(*node); ok {
		o.File = child.number
	}
	return n.fs.do(o, nil)
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	if child := n.GetChild(name); child != nil && len(child.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	return n.fs.do(Op{Kind: Remove, Path: n.child(name)}, nil)
}

func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, _ uint32) syscall.Errno {
	parent, ok := to.(*node)
	if !ok {
		return syscall.EXDEV
	}
	return n.fs.do(Op{Kind: Rename, Path: n.child(name), To: parent.child(newName)}, nil)
}
