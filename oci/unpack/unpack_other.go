//go:build !linux

package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/consentry/consentry/sandbox"
)

// ErrNoSpace is wrapped when a layer would eat into the disk's reserve.
var ErrNoSpace = errors.New("not enough free disk space")

var errLinuxOnly = fmt.Errorf("unpack an image: this file system cannot hold Linux owners, devices and names; it is done on Linux: %w", sandbox.ErrNotSupported)

// Layer needs a Linux file system. It says which of the layer's names this
// system's would lose.
func Layer(ctx context.Context, _ string, r io.Reader, limits Limits) (*Result, error) {
	if err := CheckNames(ctx, r, here(), limits); err != nil {
		return nil, fmt.Errorf("%w: %w", errLinuxOnly, err)
	}
	return nil, errLinuxOnly
}

// Settle needs a Linux file system.
func Settle(context.Context, string, []string, *Result, Limits) error { return errLinuxOnly }

// Fold needs a Linux file system.
func Fold(context.Context, string, string, *Result) error { return errLinuxOnly }

func isWhiteout(fs.FileInfo) bool             { return false }
func isOpaque(*os.Root, string) (bool, error) { return false, nil }

func openDirectory(root *os.Root, path string) (*os.File, error) { return root.Open(path) }

func isGone(error) bool { return false }

func openRegular(root *os.Root, path string) (*os.File, error) { return root.Open(path) }

type fileID struct{}

func idOf(fs.FileInfo) (fileID, bool) { return fileID{}, false }

// Owner is who the node belongs to on disk.
func (n Node) Owner() (uid, gid uint32) { return 0, 0 }

func userXattrs(*os.File) (map[string]string, error) { return nil, nil }
