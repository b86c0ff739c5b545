package guestinit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// listLayers prints the names of the layers of this distro.
func listLayers(to io.Writer) error {
	entries, err := os.ReadDir(guestwire.DistroLayers)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if guestwire.CheckDistroName(e.Name()) != nil {
			continue // it is being put
		}
		if _, err := fmt.Fprintln(to, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// maxLayer bounds a layer, in bytes: what is sent of an ext4 image.
const maxLayer = 256 << 30

// putLayer keeps what it reads; the layer appears whole or not at all.
func putLayer(from io.Reader, args []string) error {
	if len(args) != 2 { //nolint:mnd // a name and a length
		return fmt.Errorf("%w: want the name of a layer and its length in bytes", sandbox.ErrInvalid)
	}
	name := args[0]
	length, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil || length < 0 || length > maxLayer {
		return fmt.Errorf("%w: a layer of %q bytes", sandbox.ErrInvalid, args[1])
	}
	if err := errors.Join(guestwire.CheckDistroName(name), os.MkdirAll(guestwire.DistroLayers, 0o700)); err != nil {
		return err
	}
	f, err := os.CreateTemp(guestwire.DistroLayers, ".put-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has its name by then, or is waste
	n, err := io.Copy(f, io.LimitReader(from, length))
	if err == nil && n < length {
		err = fmt.Errorf("%d bytes of %d have come: %w", n, length, io.ErrUnexpectedEOF)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("layer %s: %w", name, err)
	}
	return os.Rename(f.Name(), filepath.Join(guestwire.DistroLayers, name))
}

// dropLayers removes layers; those that are mounted go when they are no more.
func dropLayers(names []string) error {
	var errs error
	for _, name := range names {
		err := guestwire.CheckDistroName(name)
		if err == nil {
			err = os.Remove(filepath.Join(guestwire.DistroLayers, name))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// loopTries is how often another may take the loop device that was free.
const loopTries = 100

// mountImage mounts an ext4 image, read-only.
func mountImage(image, target string) error {
	file, err := os.Open(image)
	if err != nil {
		return err
	}
	defer file.Close()
	device, err := attachLoop(file)
	if err != nil {
		return fmt.Errorf("loop device: %w", err)
	}
	defer device.Close() // the mount holds it from now on, and frees it at its end
	return unix.Mount(device.Name(), target, "ext4", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
}

func attachLoop(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.Open("/dev/loop" + strconv.Itoa(n))
		if err != nil {
			return nil, err
		}
		config := &unix.LoopConfig{Fd: uint32(file.Fd())} //nolint:gosec // a descriptor
		config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
		if err = unix.IoctlLoopConfigure(int(device.Fd()), config); err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, errors.New("each one that was free was taken by another")
}
