package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// treeText is a line for each file below dir.
func treeText(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "lost+found" {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		body, target := []byte(nil), ""
		if d.Type().IsRegular() {
			body, err = os.ReadFile(path)
		} else if d.Type()&fs.ModeSymlink != 0 {
			target, err = os.Readlink(path)
		}
		var note [64]byte
		n, _ := unix.Lgetxattr(path, "user.note", note[:])
		links := st.Nlink
		if d.IsDir() {
			links = 0 // counted otherwise by each file system
		}
		fmt.Fprintf(&out, "%s %o %d:%d %d %d %q %q %q\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, links, st.Mtim.Nano(), target, note[:max(n, 0)], body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestDisk: the ext4 image is sound, and mounted it holds the merged tree as
// the layers and overlayfs have it; it is made once and goes with the image.
func TestDisk(t *testing.T) {
	long := strings.Repeat("n", 200)
	img := imageOf(t, v1.Config{},
		layerOf(t, file{name: "etc/", mode: 0o750, uid: 3, gid: 4}, file{name: "etc/gone", body: "x"}, file{name: "etc/kept", body: strings.Repeat("k", 70_000), uid: 70_000},
			file{name: "old/"}, file{name: "old/hidden", body: "x"}, file{name: "su", body: "s", mode: 0o4755}),
		layerOf(t, file{name: "etc/", mode: 0o750, uid: 3, gid: 4}, file{name: "etc/.wh.gone"}, file{name: "old/"}, file{name: "old/.wh..wh..opq"}, file{name: "old/" + long, body: "l"},
			file{name: "a", body: "twice", pax: map[string]string{"SCHILY.xattr.user.note": "n"}}, file{name: "b", kind: tar.TypeLink, link: "a"}, file{name: "l", kind: tar.TypeSymlink, link: "/etc/kept"},
			file{name: "longlink", kind: tar.TypeSymlink, link: "/" + long}, file{name: "pipe", kind: tar.TypeFifo}, file{name: "empty"}))
	store := filepath.Join(t.TempDir(), "store")
	s, err := OpenStore(store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Pull(t.Context(), source(t, writeLayout(t, img)), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Disk(t.Context(), got.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Fatalf("e2fsck: %v: %s", err, out)
	}
	want, have := overlaid(t, got.Layers), mounted(t, path)
	if want != have {
		t.Errorf("ext4 has\n%.3000s\nthe layers\n%.3000s", have, want)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Disk(t.Context(), got.Digest); err != nil || again != path {
		t.Errorf("the second time: %s, %v", again, err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was made twice: %v", err)
	}
	var exported bytes.Buffer
	if err := s.Export(t.Context(), got.Ref, &exported); err != nil || exported.Len() < 70_000 {
		t.Errorf("export: %d bytes, %v", exported.Len(), err)
	}
	if _, err := s.Remove(got.Ref, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it outlives the image: %v", err)
	}
}

// mounted is the tree of an ext4 image.
func mounted(t *testing.T, image string) string {
	t.Helper()
	return at(t, "mount", "-o", "loop,ro", image)
}

// overlaid is the tree that overlayfs shows of layers.
func overlaid(t *testing.T, layers []string) string {
	t.Helper()
	var lower []string
	for _, dir := range layers {
		lower = append([]string{dir}, lower...)
	}
	if len(lower) == 1 {
		lower = append(lower, t.TempDir())
	}
	return at(t, "mount", "-t", "overlay", "-o", "ro,userxattr,lowerdir="+strings.Join(lower, ":"), "overlay")
}

func at(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command(args[0], append(args[1:], dir)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	return treeText(t, dir)
}
