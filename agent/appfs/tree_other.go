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

// Errors that callers branch on.
var (
	// ErrPlace: a file cannot be put where it is to go.
	ErrPlace = errors.New("cannot be written there")
	// ErrDirectory: what files are to be put in is no directory of the app.
	ErrDirectory = errors.New("no directory to copy to")
)

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
