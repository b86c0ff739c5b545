package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// Packing says how Pack writes a tree.
type Packing struct {
	// Name is what the tree is called in the stream, "" for ".".
	Name string
	// Marks writes whiteouts and opaque directories as an image's layer has
	// them. It is for a View of one layer.
	Marks bool
	// IDBase is subtracted from owners that are at least as large.
	IDBase uint32
}

// List returns what is in the directory dir of the merged tree, by name.
func (v *View) List(dir Node) ([]Node, error) {
	all, err := v.names(dir)
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(all))
	for _, name := range all {
		n, err := v.child(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by a layer above, or meanwhile
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// names are those that any layer of dir has, whiteouts too.
func (v *View) names(dir Node) ([]string, error) {
	found := map[string]bool{}
	for _, i := range dir.from {
		f, err := openDirectory(v.roots[i], dir.Path)
		if err != nil {
			return nil, err
		}
		list, err := f.Readdirnames(-1)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		for _, name := range list {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Base is the last component of the node's path.
func (n Node) Base() string {
	_, base := split(n.Path)
	return base
}

// Pack writes the file or tree at path, whose links are followed, to w as a
// tar stream. Sockets and devices are left out. A file that changes meanwhile
// is written with the size it had.
func (v *View) Pack(ctx context.Context, w io.Writer, path string, how Packing) error {
	n, err := v.Lookup(path, true)
	if err != nil {
		return err
	}
	if how.Name == "" {
		how.Name = "."
	}
	p := &packer{view: v, tar: tar.NewWriter(w), how: how, top: n.Path, seen: map[fileID]string{}}
	if err := p.tree(ctx, n); err != nil {
		return fmt.Errorf("pack %s: %w", path, err)
	}
	return p.tar.Close()
}

type packer struct {
	view *View
	tar  *tar.Writer
	how  Packing
	top  string
	seen map[fileID]string // files with several names, by the first one written
}

// name is what n is called in the stream.
func (p *packer) name(n Node) string {
	if n.Path == p.top {
		return p.how.Name
	}
	below := n.Path
	if p.top != "." {
		below = strings.TrimPrefix(n.Path, p.top+"/")
	}
	return join(p.how.Name, below)
}

func (p *packer) tree(ctx context.Context, n Node) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := p.entry(ctx, n); err != nil || !n.Info.IsDir() {
		return err
	}
	if p.how.Marks {
		if err := p.marks(n); err != nil {
			return err
		}
	}
	list, err := p.view.List(n)
	if err != nil {
		return err
	}
	for _, child := range list {
		if p.how.Marks && strings.HasPrefix(child.Base(), whiteoutPrefix) {
			return fmt.Errorf("%s: a name that layers keep for themselves", child.Path)
		}
		if err := p.tree(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

// marks writes what a directory hides of the layers below. A file of a mark's
// name would become one.
func (p *packer) marks(dir Node) error {
	hidden, all, err := p.view.Hidden(dir)
	if err != nil {
		return err
	}
	if all && dir.Path != "." {
		if err := p.mark(join(p.name(dir), whiteoutOpaque)); err != nil {
			return err
		}
	}
	for _, name := range hidden {
		if err := p.mark(join(p.name(dir), whiteoutPrefix+name)); err != nil {
			return err
		}
	}
	return nil
}

// Hidden tells what a directory of a View of one layer hides of the layers
// below: the names it removes, and whether all of it.
func (v *View) Hidden(dir Node) (removed []string, all bool, err error) {
	root := v.roots[dir.layer]
	if all, err = isOpaque(root, dir.Path); err != nil {
		return nil, false, err
	}
	names, err := v.names(dir)
	if err != nil {
		return nil, false, err
	}
	for _, name := range names {
		info, err := root.Lstat(join(dir.Path, name))
		if err == nil && isWhiteout(info) {
			removed = append(removed, name)
		}
	}
	return removed, all, nil
}

func (p *packer) mark(name string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600})
}

// entry writes one file.
func (p *packer) entry(ctx context.Context, n Node) error {
	mode := n.Info.Mode()
	if mode&(fs.ModeSocket|fs.ModeDevice) != 0 {
		return nil
	}
	link := ""
	if mode&fs.ModeSymlink != 0 {
		var err error
		if link, err = p.view.roots[n.layer].Readlink(n.Path); err != nil {
			return err
		}
	}
	hdr, err := tar.FileInfoHeader(n.Info, link)
	if err != nil {
		return err
	}
	hdr.Name, hdr.Uname, hdr.Gname, hdr.Format = p.name(n), "", "", tar.FormatPAX
	hdr.AccessTime, hdr.ChangeTime = time.Time{}, time.Time{} // of this disk: a copy of the same tree is the same
	hdr.Uid, hdr.Gid = p.lowered(hdr.Uid), p.lowered(hdr.Gid)
	switch {
	case mode.IsDir():
		return p.dir(n, hdr)
	case !mode.IsRegular():
		return p.tar.WriteHeader(hdr)
	}
	if id, several := idOf(n.Info); several {
		if first, known := p.seen[id]; known {
			hdr.Typeflag, hdr.Linkname, hdr.Size = tar.TypeLink, first, 0
			return p.tar.WriteHeader(hdr)
		}
		p.seen[id] = hdr.Name
	}
	return p.file(ctx, n, hdr)
}

func (p *packer) dir(n Node, hdr *tar.Header) error {
	f, err := openDirectory(p.view.roots[n.layer], n.Path)
	if err != nil {
		return err
	}
	hdr.Name += "/"
	hdr.PAXRecords, err = userXattrs(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return p.tar.WriteHeader(hdr)
}

func (p *packer) lowered(id int) int {
	if base := int(p.how.IDBase); base > 0 && id >= base {
		return id - base
	}
	return id
}

func (p *packer) file(ctx context.Context, n Node, hdr *tar.Header) (err error) {
	f, err := p.view.Open(n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if hdr.PAXRecords, err = userXattrs(f); err != nil {
		return err
	}
	if err := p.tar.WriteHeader(hdr); err != nil {
		return err
	}
	body := cancellable{ctx, io.LimitReader(f, hdr.Size)}
	written, err := io.Copy(p.tar, body)
	if err == nil && written < hdr.Size { // it was cut meanwhile
		_, err = io.CopyN(p.tar, zeroReader{}, hdr.Size-written)
	}
	return err
}

// cancellable ends when its context does.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (r cancellable) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
