package vmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/consentry/consentry/internal/vmtest/guestjob"
	"github.com/u-root/u-root/pkg/cpio"
)

// image is what an initramfs is made of: contents by absolute path in the guest.
type image struct {
	executables map[string]string // guest path → host path
	texts       map[string]string // guest path → contents
}

// folders the guest starts with.
var folders = []string{"dev", "proc", "sys", "run", "tmp", "newroot", "root", "etc"}

// pack writes the archive; the same input gives the same bytes.
func (i image) pack(w io.Writer) error {
	archive := cpio.InMemArchive()
	add := func(r cpio.Record) error { return archive.WriteRecord(cpio.MakeReproducible(r)) }
	for _, folder := range i.allFolders() {
		if err := add(cpio.Directory(folder, 0o755)); err != nil {
			return err
		}
	}
	// init prints to the console before devtmpfs is mounted.
	if err := add(cpio.CharDev("dev/console", 0o600, 5, 1)); err != nil {
		return err
	}
	for guest, host := range i.executables {
		contents, err := os.ReadFile(host)
		if err != nil {
			return err
		}
		if err := add(cpio.StaticFile(strings.TrimPrefix(guest, "/"), string(contents), 0o755)); err != nil {
			return err
		}
	}
	for guest, text := range i.texts {
		if err := add(cpio.StaticFile(strings.TrimPrefix(guest, "/"), text, 0o644)); err != nil {
			return err
		}
	}
	return write(w, archive)
}

// allFolders lists every folder that a file lies in, parents first.
func (i image) allFolders() []string {
	all := slices.Clone(folders)
	for _, files := range []map[string]string{i.executables, i.texts} {
		for guest := range files {
			for dir := path.Dir(guest); dir != "/"; dir = path.Dir(dir) {
				all = append(all, strings.TrimPrefix(dir, "/"))
			}
		}
	}
	slices.Sort(all) // a parent sorts before what lies in it
	return slices.Compact(all)
}

// write puts the records out sorted by name, as the archive keeps them.
func write(w io.Writer, archive *cpio.Archive) error {
	records := cpio.Newc.Writer(w)
	reader := archive.Reader()
	var all []cpio.Record
	for {
		record, err := reader.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		all = append(all, record)
	}
	slices.SortFunc(all, func(a, b cpio.Record) int { return strings.Compare(a.Name, b.Name) })
	if err := cpio.WriteRecords(records, all); err != nil {
		return err
	}
	return cpio.WriteTrailer(records)
}

// guestImage puts together what c wants to run.
func (c Config) guestImage(init string, k kernel) (image, error) {
	img := image{executables: map[string]string{"/init": init, guestjob.Binary: c.Binary}, texts: map[string]string{}}
	for guest, host := range c.Files {
		if !path.IsAbs(guest) || path.Clean(guest) != guest {
			return img, fmt.Errorf("path in the guest %q: want it absolute and clean", guest)
		}
		img.executables[guest] = host
	}
	wanted := append(slices.Clone(c.Modules), defaultModules...)
	job := guestjob.Job{Args: c.Args, Env: append([]string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TMPDIR=/tmp", "CONSENTRY_VMTEST=1"}, c.Env...)}
	if c.Disk > 0 {
		wanted = append(wanted, "virtio_pci", "virtio_blk", "ext4")
		job.Disk = "/dev/vda"
	}
	order, err := k.moduleOrder(wanted)
	if err != nil {
		return img, err
	}
	for n, host := range order {
		img.executables[fmt.Sprintf("%s/%03d-%s", guestjob.Modules, n, path.Base(host))] = host
	}
	text, err := json.Marshal(job)
	if err != nil {
		return img, err
	}
	img.texts[guestjob.Path] = string(text)
	img.texts["/etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n"
	img.texts["/etc/group"] = "root:x:0:\n"
	return img, nil
}
