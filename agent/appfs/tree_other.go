//go:build !linux

package appfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/sandbox"
)

// ErrPlace is wrapped when a file cannot be put where it is to go.
var ErrPlace = errors.New("cannot be written there")

// Tree is where files are put.
type Tree struct {
	Root     *os.Root
	Below    *unpack.View
	IDBase   uint32
	UID, GID uint32
}

// Put needs a Linux file system.
func (Tree) Put(context.Context, string, io.Reader) error {
	return fmt.Errorf("copy into an app: this file system has no Linux owners: %w", sandbox.ErrNotSupported)
}
