// Package initramfs packs the first file system of a guest: a cpio archive in
// the kernel's "newc" form. The same contents give the same bytes, wherever and
// whenever they are packed. It is not compressed: on an emulated processor
// unpacking costs more than reading does.
package initramfs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// Contents are what lies in an archive, by absolute path in the guest.
type Contents struct {
	Folders  []string          // beside those that files lie in
	Programs map[string]string // executable: path in the guest → of the file here
	Texts    map[string]string // path in the guest → what it says
}

// Init is the path of the program that the kernel starts.
const Init = "/init"

// Guest are the contents for guestinit: the program, the places it mounts on,
// and the modules its kernel needs, in their order.
func Guest(program string, modules []string) Contents {
	c := Contents{
		Folders:  []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/files", "/folders", "/newroot"},
		Programs: map[string]string{Init: program},
	}
	for n, file := range modules {
		c.Programs[fmt.Sprintf("/modules/%03d-%s", n, path.Base(file))] = file
	}
	return c
}

// Write packs the archive.
func (c Contents) Write(w io.Writer) error {
	records, err := c.records()
	if err != nil {
		return err
	}
	slices.SortFunc(records, func(a, b cpio.Record) int { return strings.Compare(a.Name, b.Name) })
	archive := cpio.Newc.Writer(w)
	for i, r := range records {
		r = cpio.MakeReproducible(r)
		r.Ino = uint64(i + 1)
		if err := archive.WriteRecord(r); err != nil {
			return err
		}
	}
	return cpio.WriteTrailer(archive)
}

func (c Contents) records() ([]cpio.Record, error) {
	var all []cpio.Record
	for _, folder := range c.allFolders() {
		all = append(all, cpio.Directory(folder, 0o755))
	}
	// init prints to the console before devtmpfs is mounted.
	all = append(all, cpio.CharDev("dev/console", 0o600, 5, 1))
	for guest, file := range c.Programs {
		contents, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, cpio.StaticFile(strings.TrimPrefix(guest, "/"), string(contents), 0o755))
	}
	for guest, text := range c.Texts {
		all = append(all, cpio.StaticFile(strings.TrimPrefix(guest, "/"), text, 0o644))
	}
	return all, c.check()
}

// check refuses paths that the kernel would take for others.
func (c Contents) check() error {
	var errs error
	for _, name := range slices.Concat(c.Folders, slices.Collect(maps.Keys(c.Programs)), slices.Collect(maps.Keys(c.Texts))) {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
			errs = errors.Join(errs, fmt.Errorf("path in the guest %q: want it absolute and clean", name))
		}
	}
	return errs
}

// allFolders lists every folder that is asked for or that a file lies in.
func (c Contents) allFolders() []string {
	all := map[string]bool{"dev": true}
	add := func(dir string) {
		for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
			all[strings.TrimPrefix(dir, "/")] = true
		}
	}
	for _, folder := range c.Folders {
		add(folder)
	}
	for guest := range c.Programs {
		add(path.Dir(guest))
	}
	for guest := range c.Texts {
		add(path.Dir(guest))
	}
	return slices.Sorted(maps.Keys(all))
}
