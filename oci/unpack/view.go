package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// View looks paths up in a stack of unpacked layers as the merged tree would:
// the top layer first, whiteouts and opaque directories honoured, symbolic
// links followed inside the stack only (".." above the root stays there).
// It caches directories; layers must not change meanwhile.
type View struct {
	roots []*os.Root // top first
	dirs  map[string]Node
}

// Node is a file of the merged tree.
type Node struct {
	Path  string // without links, "." for the root
	Info  fs.FileInfo
	layer int   // index into roots of the layer it is seen in
	from  []int // of a directory: the layers that make it up, top first
}

// OpenView opens the layers dirs, lowest first.
func OpenView(dirs []string) (*View, error) {
	v := &View{dirs: map[string]Node{}}
	for _, dir := range slices.Backward(dirs) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, errors.Join(err, v.Close())
		}
		v.roots = append(v.roots, root)
	}
	return v, nil
}

// Close closes the layers.
func (v *View) Close() error {
	var all error
	for _, root := range v.roots {
		all = errors.Join(all, root.Close())
	}
	return all
}

// Lookup finds path; its last component is followed when follow is set. The
// error wraps fs.ErrNotExist when there is no such file.
func (v *View) Lookup(path string, follow bool) (Node, error) {
	todo := strings.Split(path, "/")
	top, err := v.root()
	if err != nil {
		return Node{}, err
	}
	at := []Node{top}
	for hops := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			at = at[:max(1, len(at)-1)]
			continue
		case len(at) > maxDepth:
			return Node{}, notFound(path, "too deep")
		}
		n, err := v.child(at[len(at)-1], part)
		if err != nil {
			return Node{}, err
		}
		if n.Info.Mode()&fs.ModeSymlink == 0 || !follow && len(todo) == 0 {
			at = append(at, n)
			continue
		}
		if hops++; hops > maxLinkHops {
			return Node{}, notFound(path, "too many symbolic links")
		}
		target, err := v.roots[n.layer].Readlink(n.Path)
		if err != nil {
			return Node{}, err
		}
		if strings.HasPrefix(target, "/") {
			at = at[:1]
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at[len(at)-1], nil
}

func notFound(path, why string) error {
	return fmt.Errorf("%.200q: %s: %w", path, why, fs.ErrNotExist)
}

func (v *View) root() (Node, error) {
	if len(v.roots) == 0 {
		return Node{}, notFound(".", "no layers")
	}
	info, err := v.roots[0].Lstat(".")
	if err != nil {
		return Node{}, err
	}
	n := Node{Path: ".", Info: info}
	for i := range v.roots {
		n.from = append(n.from, i)
	}
	return n, nil
}

// child finds base in the directory dir, going down its layers.
func (v *View) child(dir Node, base string) (Node, error) {
	path := join(dir.Path, base)
	if n, is := v.dirs[path]; is {
		return n, nil
	}
	var n Node
	for _, i := range dir.from {
		info, err := v.roots[i].Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Node{}, err
		}
		if n.Info == nil && !isWhiteout(info) {
			n = Node{Path: path, Info: info, layer: i}
		}
		if !info.IsDir() || isWhiteout(info) {
			break
		}
		n.from = append(n.from, i)
		stop, err := isOpaque(v.roots[i], path)
		if err != nil {
			return Node{}, err
		}
		if stop {
			break
		}
	}
	if n.Info == nil {
		return Node{}, notFound(path, "no such file in the image")
	}
	if n.Info.IsDir() {
		v.dirs[path] = n
	}
	return n, nil
}

// ReadFile reads a regular file of at most limit bytes, links followed.
func (v *View) ReadFile(path string, limit int64) ([]byte, error) {
	n, err := v.Lookup(path, true)
	if err != nil {
		return nil, err
	}
	if !n.Info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s in the image is no regular file", path)
	}
	if n.Info.Size() > limit {
		return nil, fmt.Errorf("%s in the image is %d bytes, more than %d", path, n.Info.Size(), limit)
	}
	f, err := v.Open(n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, errors.Join(err, f.Close())
}

// Open opens a regular file for reading.
func (v *View) Open(n Node) (*os.File, error) {
	if !n.Info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: no regular file", n.Path)
	}
	return openRegular(v.roots[n.layer], n.Path)
}
