package unpack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Change is one path at which a layer differs from those below it.
type Change struct {
	Kind byte   // 'A' added, 'C' changed, 'D' deleted
	Path string // absolute
}

// maxChanges bounds a list of changes.
const maxChanges = 1 << 20

var errChanges = fmt.Errorf("more than %d changes", maxChanges)

// Changes compares the layer upper with the tree below, as docker diff does: a
// directory counts as changed when something in it did. skip leaves paths out,
// with all below them.
func Changes(below, upper *View, skip func(path string) bool) ([]Change, error) {
	top, err := upper.root()
	if err != nil {
		return nil, err
	}
	base, err := below.root()
	if err != nil {
		return nil, err
	}
	c := &comparison{below: below, upper: upper, skip: skip}
	if err := c.directory(top, &base); err != nil {
		return nil, err
	}
	slices.SortFunc(c.found, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	return c.found, nil
}

type comparison struct {
	below, upper *View
	skip         func(string) bool
	found        []Change
}

func (c *comparison) add(kind byte, path string) error {
	if len(c.found) == maxChanges {
		return errChanges
	}
	c.found = append(c.found, Change{kind, "/" + path})
	return nil
}

// directory compares what is in dir with was, which is nil when nothing below
// is seen through it.
func (c *comparison) directory(dir Node, was *Node) error {
	removed, all, err := c.upper.Hidden(dir)
	if err != nil {
		return err
	}
	entries, err := c.upper.List(dir)
	if err != nil {
		return err
	}
	if was != nil {
		if err := c.deleted(dir, *was, removed, entries, all); err != nil {
			return err
		}
	}
	for _, n := range entries {
		if c.skip != nil && c.skip("/"+n.Path) {
			continue
		}
		if err := c.entry(n, was); err != nil {
			return err
		}
	}
	return nil
}

// deleted notes what the tree below has in was and dir hides.
func (c *comparison) deleted(dir, was Node, removed []string, entries []Node, all bool) error {
	if all {
		list, err := c.below.List(was)
		if err != nil {
			return err
		}
		for _, n := range list {
			if !slices.ContainsFunc(entries, func(e Node) bool { return e.Base() == n.Base() }) {
				removed = append(removed, n.Base())
			}
		}
	}
	for _, name := range removed {
		path := join(dir.Path, name)
		if c.skip != nil && c.skip("/"+path) {
			continue
		}
		if _, err := c.below.child(was, name); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := c.add('D', path); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) entry(n Node, parent *Node) error {
	var was *Node
	if parent != nil {
		old, err := c.below.child(*parent, n.Base())
		if err == nil {
			was = &old
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if was == nil {
		if err := c.add('A', n.Path); err != nil || !n.Info.IsDir() {
			return err
		}
		return c.directory(n, nil)
	}
	if !n.Info.IsDir() || !was.Info.IsDir() {
		if err := c.add('C', n.Path); err != nil || !n.Info.IsDir() {
			return err
		}
		return c.directory(n, nil)
	}
	before := len(c.found)
	if err := c.directory(n, was); err != nil {
		return err
	}
	if len(c.found) > before || n.Info.Mode() != was.Info.Mode() {
		return c.add('C', n.Path)
	}
	return nil
}

// Size adds up what is below a directory that an app may be filling: links are
// not followed, and what goes away meanwhile is left out.
func Size(ctx context.Context, dir string) (bytes, files int64, err error) {
	view, err := OpenView([]string{dir})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	top, err := view.root()
	if err != nil {
		return 0, 0, err
	}
	for todo := []Node{top}; len(todo) > 0; {
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		list, err := view.List(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !isGone(err) {
			return 0, 0, err
		}
		for _, n := range list {
			files++
			if n.Info.IsDir() {
				todo = append(todo, n)
			} else {
				bytes += n.Info.Size()
			}
		}
	}
	return bytes, files, nil
}
