//go:build unix

package vz

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// stage makes the folder that a machine is shown: the image of each layer, and
// beside it the folder that the guest mounts it on. Images are linked, not
// copied: they must lie on the same volume as dir.
func stage(dir string, spec sandbox.Spec) (folder string, err error) {
	if err := check(spec); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	folder, err = os.MkdirTemp(dir, "files-")
	if err != nil {
		return "", err
	}
	for n, layer := range spec.Image.Lower {
		if err := addLayer(filepath.Join(folder, vmhost.Layer(n)), layer); err != nil {
			return "", errors.Join(fmt.Errorf("layer %d: %w", n, err), os.RemoveAll(folder))
		}
	}
	return folder, nil
}

func addLayer(place, image string) error {
	info, err := os.Stat(image)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no ext4 image: on macOS a layer has to be one", image)
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	return os.Link(image, place+guestwire.ImageSuffix)
}

// check says what cannot be shown to a guest yet.
func check(spec sandbox.Spec) error {
	switch {
	case spec.Image == nil || len(spec.Image.Lower) == 0:
		return fmt.Errorf("%w: a machine runs an image", sandbox.ErrInvalid)
	case len(spec.Mounts) > 0:
		return fmt.Errorf("%w: folders and volumes on macOS: its file system keeps no owners of Linux", sandbox.ErrNotSupported)
	case spec.Image.Upper != "":
		return fmt.Errorf("%w: what an app writes is kept in memory only on macOS: use --ephemeral", sandbox.ErrNotSupported)
	}
	return nil
}
