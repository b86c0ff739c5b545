package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
)

// Hosts whose file systems hold no Linux files bring layers as ext4 images: in
// the folder that they share, or as disks.

// ownFiles makes a place for what is put together here.
func ownFiles() error {
	if err := unix.Mount("tmpfs", guestwire.FilesDir, "tmpfs", quiet, "mode=700,size=1m"); err != nil {
		return fmt.Errorf("%s: %w", guestwire.FilesDir, err)
	}
	return nil
}

// layerPlace makes the folder that a layer is mounted on.
func layerPlace(n int) (string, error) {
	place := filepath.Join(guestwire.FilesDir, guestwire.LayerName(n))
	return place, os.MkdirAll(place, 0o700)
}

// mountImages mounts the images among shared files, each on the folder beside it.
func (g *guest) mountImages() error {
	for n := 0; ; n++ {
		place := filepath.Join(guestwire.FilesDir, guestwire.LayerName(n))
		image := place + guestwire.ImageSuffix
		if _, err := os.Lstat(image); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		if err := mountImage(image, place); err != nil {
			return fmt.Errorf("%s: %w", image, err)
		}
		g.mapsFiles = true
	}
}

// mountDisks mounts the disks of the machine's one SCSI controller in their
// order.
func (g *guest) mountDisks(ctx context.Context) error {
	if err := ownFiles(); err != nil {
		return err
	}
	g.mapsFiles = true
	for n := range g.boot.Disks {
		place, err := layerPlace(n)
		if err != nil {
			return err
		}
		err = appears(ctx, func() error {
			device, err := scsiDisk(n)
			if err != nil {
				return err
			}
			return unix.Mount(device, place, "ext4", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		})
		if err != nil {
			return fmt.Errorf("disk %d: %w", n, err)
		}
	}
	return nil
}

// scsiDisk is the device of a logical unit, whatever name it got.
func scsiDisk(unit int) (string, error) {
	found, err := filepath.Glob(fmt.Sprintf("/sys/bus/scsi/devices/*:0:0:%d/block/*", unit))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d SCSI disks have unit %d", len(found), unit)
	}
	return filepath.Join("/dev", filepath.Base(found[0])), nil
}

// makeCardIfNone makes a tap where the machine has no network card, as its
// frames go over the connection.
func (g *guest) makeCardIfNone(ctx context.Context) error {
	if g.boot.Port == 0 {
		return nil
	}
	return g.makeCard(ctx)
}
