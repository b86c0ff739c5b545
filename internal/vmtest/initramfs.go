package vmtest

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/consentry/consentry/internal/vmtest/guestjob"
	"github.com/consentry/consentry/kernel/initramfs"
)

// folders the guest starts with, beside those of its files.
var folders = []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/newroot", "/root", "/etc"}

// guestImage puts together what c wants to run.
func (c Config) guestImage(init string, k kernel) (initramfs.Contents, error) {
	img := initramfs.Contents{Folders: folders, Programs: map[string]string{initramfs.Init: init, guestjob.Binary: c.Binary}, Texts: map[string]string{}}
	for guest, host := range c.Files {
		img.Programs[guest] = host
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
		img.Programs[fmt.Sprintf("%s/%03d-%s", guestjob.Modules, n, path.Base(host))] = host
	}
	text, err := json.Marshal(job)
	if err != nil {
		return img, err
	}
	img.Texts[guestjob.Path] = string(text)
	img.Texts["/etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n"
	img.Texts["/etc/group"] = "root:x:0:\n"
	return img, nil
}
