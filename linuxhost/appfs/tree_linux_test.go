//go:build linux

package appfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

const base = 1 << 20

// place is an image's layer with an app's layer on it, and a folder of the host.
type place struct {
	Tree
	t                   *testing.T
	layer, upper, hosts string
}

// layer is what lies below.
type layer struct{ dir string }

func (l layer) Lstat(p string) (fs.FileInfo, error) { return os.Lstat(filepath.Join(l.dir, p)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, layer: t.TempDir(), upper: t.TempDir(), hosts: t.TempDir()}
	must(t, errors.Join(os.WriteFile(filepath.Join(p.hosts, "canary"), []byte("untouched"), 0o600),
		os.MkdirAll(filepath.Join(p.layer, "srv/app"), 0o750), os.Chown(filepath.Join(p.layer, "srv/app"), 7, 8),
		os.WriteFile(filepath.Join(p.layer, "srv/app/old"), []byte("image"), 0o644), os.WriteFile(filepath.Join(p.layer, "srv/file"), []byte("image"), 0o644),
		os.Mkdir(filepath.Join(p.layer, "srv/gone"), 0o755), os.WriteFile(filepath.Join(p.layer, "srv/gone/x"), nil, 0o644),
		os.Symlink(p.hosts, filepath.Join(p.layer, "srv/out"))))
	root, err := os.Open(p.upper)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	p.Tree = Tree{Root: root, Below: layer{p.layer}, IDBase: base, UID: 33, GID: 34}
	return p
}

func (p *place) put(dir string, headers ...tar.Header) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		h.Mode, h.Size = 0o640, int64(len(h.Gname)) // the content, in these tests
		body := h.Gname
		h.Gname = ""
		must(p.t, w.WriteHeader(&h))
		w.Write([]byte(body))
	}
	must(p.t, w.Close())
	return p.Put(p.t.Context(), dir, &buf)
}

func (p *place) stat(name string) *syscall.Stat_t {
	p.t.Helper()
	info, err := os.Lstat(filepath.Join(p.upper, name))
	must(p.t, err)
	return info.Sys().(*syscall.Stat_t)
}

func TestPut(t *testing.T) {
	p := newPlace(t)
	must(t, p.put("/srv/app", tar.Header{Name: "old", Gname: "mine"}, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d/f", Gname: "f"}, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	if raw, _ := os.ReadFile(filepath.Join(p.upper, "srv/app/old")); string(raw) != "mine" {
		t.Errorf("content %q", raw)
	}
	if st := p.stat("srv/app"); st.Uid != base+7 || st.Gid != base+8 || st.Mode&0o777 != 0o750 {
		t.Errorf("a directory of the image: owner %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	if st := p.stat("srv/app/d/f"); st.Uid != base+33 || st.Gid != base+34 || st.Mode&0o777 != 0o640 {
		t.Errorf("a new file: owner %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	if raw, _ := os.ReadFile(filepath.Join(p.layer, "srv/app/old")); string(raw) != "image" {
		t.Error("the image's layer was changed")
	}
}

func TestPutOverWhatTheAppRemoved(t *testing.T) {
	p := newPlace(t)
	must(t, errors.Join(os.Mkdir(filepath.Join(p.upper, "srv"), 0o755), unix.Mknod(filepath.Join(p.upper, "srv/gone"), unix.S_IFCHR, 0)))
	if err := p.put("/srv/gone", tar.Header{Name: "f"}); !errors.Is(err, sandbox.ErrPlace) && !errors.Is(err, sandbox.ErrNoDirectory) {
		t.Errorf("into a directory that the app removed: %v", err)
	}
	must(t, p.put("/srv", tar.Header{Name: "gone/", Typeflag: tar.TypeDir}, tar.Header{Name: "gone/new", Gname: "n"}))
	var value [8]byte
	if n, err := unix.Getxattr(filepath.Join(p.upper, "srv/gone"), opaqueAttr, value[:]); err != nil || string(value[:n]) != "y" {
		t.Errorf("what was removed is seen again: %v", err)
	}
}

// TestPutNeverLeaves: neither names nor links lead out.
func TestPutNeverLeaves(t *testing.T) {
	p := newPlace(t)
	must(t, os.Symlink(p.hosts, filepath.Join(p.upper, "mine")))
	for name, try := range map[string]func() error{
		"climbing name":     func() error { return p.put("/srv", tar.Header{Name: "../../evil", Gname: "x"}) },
		"absolute name":     func() error { return p.put("/srv", tar.Header{Name: p.hosts + "/evil", Gname: "x"}) },
		"link of the image": func() error { return p.put("/srv/out", tar.Header{Name: "canary", Gname: "evil"}) },
		"link of the app":   func() error { return p.put("/mine", tar.Header{Name: "canary", Gname: "evil"}) },
		"below a link":      func() error { return p.put("/", tar.Header{Name: "mine/canary", Gname: "evil"}) },
		"link it carries": func() error {
			return p.put("/srv", tar.Header{Name: "ln", Typeflag: tar.TypeSymlink, Linkname: p.hosts}, tar.Header{Name: "ln/canary", Gname: "evil"})
		},
		"hard link": func() error {
			return p.put("/srv", tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"})
		},
		"device": func() error {
			return p.put("/srv", tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1})
		},
		"file for a dir":    func() error { return p.put("/srv", tar.Header{Name: "app", Gname: "x"}) },
		"dir for a file":    func() error { return p.put("/srv", tar.Header{Name: "file/", Typeflag: tar.TypeDir}) },
		"no such directory": func() error { return p.put("/none", tar.Header{Name: "f"}) },
	} {
		if err := try(); !errors.Is(err, sandbox.ErrPlace) && !errors.Is(err, sandbox.ErrNoDirectory) {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := os.ReadDir(p.hosts)
	must(t, err)
	if raw, _ := os.ReadFile(filepath.Join(p.hosts, "canary")); string(raw) != "untouched" || len(entries) != 1 {
		t.Errorf("the host's folder: %q, %v", raw, entries)
	}
	// A file takes the place of a link, not of what it leads to.
	must(t, p.put("/", tar.Header{Name: "mine", Gname: "file now"}))
	if raw, _ := os.ReadFile(filepath.Join(p.upper, "mine")); string(raw) != "file now" {
		t.Errorf("over a link: %q", raw)
	}
}
