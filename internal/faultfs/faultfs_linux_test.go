package faultfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func mounted(t *testing.T) (*FS, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := Mount(dir)
	if err != nil {
		t.Skipf("needs root and /dev/fuse: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, dir
}

func write(t *testing.T, path, text string, sync bool) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// played is the disk at the end of log.
func played(log []Op) *Disk {
	d := NewDisk(log)
	for d.Advance() {
	}
	return d
}

func TestTheLogHoldsWhatWasDone(t *testing.T) {
	f, dir := mounted(t)
	write(t, filepath.Join(dir, "a"), "synced", true)
	write(t, filepath.Join(dir, "b"), "not synced", false)
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "d", "c")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "d", "c")); err != nil || string(got) != "not synced" {
		t.Fatalf("%q, %v", got, err)
	}
	log := f.Log()
	disk := played(log)
	all := disk.Tree(nil, nil)
	if string(all.Files["a"]) != "synced" || string(all.Files["d/c"]) != "not synced" || len(all.Files) != 2 || !slices.Equal(all.Folders, []string{"d"}) {
		t.Errorf("%q, folders %v", all.Files, all.Folders)
	}
	loose := disk.Loose
	if len(loose.Data) != 1 || len(loose.Folder) != 4 { // two files, a folder, a rename
		t.Fatalf("%+v of %+v", loose, log)
	}
	torn := disk.Tree(map[int]Fate{loose.Data[0]: {Torn: true, From: 4, To: 10}}, nil)
	if got := string(torn.Files["d/c"]); got != "\x00\x00\x00\x00synced" {
		t.Errorf("torn: %q", got)
	}
	lost := disk.Tree(map[int]Fate{loose.Data[0]: {Lost: true}}, loose.Folder[3:])
	if got, there := lost.Files["b"]; !there || len(got) != 0 {
		t.Errorf("lost: %q", lost.Files)
	}
	if none := disk.Tree(nil, loose.Folder); len(none.Files) != 0 {
		t.Errorf("no entry is synced, but there are %q", none.Files)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if loose := played(f.Log()).Loose; len(loose.Folder) != 0 {
		t.Errorf("still loose after the sync of the folder: %+v", loose)
	}
}

func TestFailuresChangeNothing(t *testing.T) {
	f, dir := mounted(t)
	path := filepath.Join(dir, "a")
	write(t, path, "old", true)
	f.Fail(func(o Op) syscall.Errno {
		switch o.Kind {
		case Write:
			return syscall.ENOSPC
		case Sync:
			return syscall.EIO
		}
		return 0
	})
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("new"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	f.Fail(nil)
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
}
