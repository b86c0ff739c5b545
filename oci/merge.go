package oci

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/oci/unpack"
)

// maxStack is how many directories an image is mounted from. Tools that build
// images stop at 127 layers; overlayfs takes 500, less where their names do not
// fit into a page. Of an image with more layers, the lowest are kept as one
// directory, their merged tree, which it shares only with images that have them
// all. That is made in tmp and appears whole, as a layer does.
const maxStack = 128

// lowest is how many of n layers are merged so that width directories remain.
func lowest(n, width int) int {
	if n <= width {
		return 0
	}
	return n - width + 1
}

// baseKey is the store's name for the low layers' merged tree.
func (p *pull) baseKey() string { return baseMark + p.names[p.low-1].chain }

// lockBase makes pulls that need the same merged tree wait for each other.
func (p *pull) lockBase(ctx context.Context) (unlock func(), err error) {
	if p.low == 0 {
		return func() {}, nil
	}
	return p.store.layers.lock(ctx, p.baseKey())
}

// getLow unpacks one of the low layers to be merged. It does without the
// store's copy, if there is one: merging uses the directory up.
func (l *layer) getLow(ctx context.Context) (err error) {
	if l.pull.store.hasLayer(l.pull.baseKey()) {
		return nil
	}
	if l.made, err = l.unpack(ctx); err != nil {
		return fmt.Errorf("layer %s: %w", l.id(), err)
	}
	return nil
}

// merge makes one directory of the low layers, unless the store has it.
func (p *pull) merge(ctx context.Context) error {
	if p.low == 0 || p.store.hasLayer(p.baseKey()) {
		return nil
	}
	dir := filepath.Join(p.work, "base")
	tree := filepath.Join(dir, "fs")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return err
	}
	var sum unpack.Result
	for _, l := range p.todo[:p.low] {
		if err := l.fold(ctx, tree); err != nil {
			return fmt.Errorf("layer %s: %w", l.id(), err)
		}
		sum.Add(l.made)
	}
	return p.store.publish(dir, p.baseKey(), layerInfo{Boot: p.store.boot, Merged: p.low, Result: sum})
}

// fold puts the layer over those below it, which are merged in tree.
func (l *layer) fold(ctx context.Context, tree string) error {
	dir, limits := filepath.Join(l.dir(), "fs"), l.pull.store.limits
	if l.made.Relative {
		if err := unpack.Settle(ctx, dir, []string{tree}, l.made, limits); err != nil {
			return err
		}
	}
	return unpack.Fold(ctx, dir, tree, l.made)
}
