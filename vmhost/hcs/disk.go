package hcs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"github.com/consentry/consentry/internal/atomicfile"
)

// disk is the VHD of a layer: its ext4 image and a footer. It is made once and
// lies in dir under the layer's name.
func disk(dir, layer string) (string, error) {
	path := filepath.Join(dir, filepath.Base(layer)+".vhd")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	image, err := os.Open(layer)
	if err != nil {
		return "", err
	}
	defer image.Close()
	if info, err := image.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("layer %s: it is no ext4 image: on Windows a layer has to be one", layer))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	err = atomicfile.Stream(path, 0o600, func(w io.Writer) error {
		if _, err := io.Copy(w, image); err != nil {
			return err
		}
		seeker, can := w.(io.WriteSeeker)
		if !can {
			return errors.New("no file is written to")
		}
		return tar2ext4.ConvertToVhd(seeker)
	})
	if err != nil {
		return "", fmt.Errorf("disk of %s: %w", layer, err)
	}
	return path, nil
}
