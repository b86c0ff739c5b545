//go:build !linux

package userdata

import (
	"fmt"
	"os"
	"path/filepath"
)

// openPicked opens the file by its name in its folder, and only if the path has
// no link in it. Between the look and the opening a folder above may be changed
// by who can write there; no app of this system can.
func openPicked(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if real != path {
		return nil, fmt.Errorf("%s leads elsewhere by now", path)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(filepath.Base(path))
}
