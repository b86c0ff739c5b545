package guestinit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/internal/atomicfile"
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
	name, length, err := nameAndLength(args)
	if err := errors.Join(err, guestwire.CheckDistroName(name)); err != nil {
		return err
	}
	if err := os.MkdirAll(guestwire.DistroLayers, 0o700); err != nil {
		return err
	}
	if err := keep(from, length, filepath.Join(guestwire.DistroLayers, name), 0o600, ""); err != nil {
		return fmt.Errorf("layer %s: %w", name, err)
	}
	return nil
}

func nameAndLength(args []string) (name string, length int64, err error) {
	if len(args) != 2 { //nolint:mnd // these two
		return "", 0, fmt.Errorf("%w: want a name and a length in bytes, not %q", sandbox.ErrInvalid, args)
	}
	length, err = strconv.ParseInt(args[1], 10, 64)
	if err != nil || length < 0 || length > maxLayer {
		return "", 0, fmt.Errorf("%w: a length of %q bytes", sandbox.ErrInvalid, args[1])
	}
	return args[0], length, nil
}

// keep writes a file that appears whole or not at all. Where wanted is not "" it
// is the file's SHA-256.
func keep(from io.Reader, length int64, path string, mode os.FileMode, wanted string) error {
	digest := sha256.New()
	return atomicfile.Stream(path, mode, func(w io.Writer) error {
		n, err := io.Copy(io.MultiWriter(w, digest), io.LimitReader(from, length))
		if err == nil && n < length {
			err = fmt.Errorf("%d bytes of %d have come: %w", n, length, io.ErrUnexpectedEOF)
		}
		if sum := hex.EncodeToString(digest.Sum(nil)); err == nil && wanted != "" && sum != wanted {
			err = fmt.Errorf("%w: SHA-256 is %s, not %s", sandbox.ErrInvalid, sum, wanted)
		}
		return err
	})
}

// printDigest says which program this is.
func printDigest(to io.Writer) error {
	self, err := os.Open(selfPath)
	if err != nil {
		return err
	}
	defer self.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, self); err != nil {
		return err
	}
	_, err = fmt.Fprintln(to, hex.EncodeToString(digest.Sum(nil)))
	return err
}

const selfPath = "/proc/self/exe"

// renew puts another program in this one's place. Apps that run go on with what
// they began with.
func renew(from io.Reader, args []string) error {
	sum, length, err := nameAndLength(args)
	if err != nil {
		return err
	}
	if err := keep(from, length, guestwire.DistroProgram, 0o755, sum); err != nil {
		return fmt.Errorf("program of the distro: %w", err)
	}
	return nil
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
