//go:build !linux

package appfs

import (
	"archive/tar"
	"fmt"
	"io"

	"github.com/consentry/consentry/sandbox"
)

// dir would be a directory of the tree.
type dir struct{}

func (Tree) walk([]string) (*dir, error) {
	return nil, fmt.Errorf("copy into an app: this file system has no Linux owners: %w", sandbox.ErrNotSupported)
}

func (*dir) close() {}

func (*dir) directory(string, *tar.Header) error { return sandbox.ErrNotSupported }

func (*dir) file(string, *tar.Header, io.Reader) error { return sandbox.ErrNotSupported }

func (*dir) symlink(string, *tar.Header) error { return sandbox.ErrNotSupported }
