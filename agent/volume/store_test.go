//go:build linux

package volume

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/oci/unpack"
)

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func archive(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		h.Size = int64(len(h.Uname)) // the content, in these tests
		body := h.Uname
		h.Uname, h.Mode = "", 0o644
		must(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(body))
		must(t, err)
	}
	must(t, w.Close())
	return &buf
}

func TestBackupComesBack(t *testing.T) {
	s := openTest(t, t.TempDir())
	v, err := s.Create("data", Record{})
	must(t, err)
	file := filepath.Join(v.Path, "f")
	must(t, errors.Join(os.WriteFile(file, []byte("kept"), 0o640), os.Chown(file, 70, 71), os.Symlink("/etc/passwd", filepath.Join(v.Path, "l")),
		os.Chown(v.Path, 70, 70), os.Chmod(v.Path, 0o700)))
	var out bytes.Buffer
	must(t, s.Backup(t.Context(), "data", &out))
	again, err := s.Restore(t.Context(), "copy", &out)
	must(t, err)
	info, err := os.Stat(filepath.Join(again.Path, "f"))
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 70 || st.Gid != 71 || info.Mode().Perm() != 0o640 {
		t.Errorf("owner %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
	if raw, _ := os.ReadFile(filepath.Join(again.Path, "f")); string(raw) != "kept" {
		t.Errorf("content %q", raw)
	}
	if target, _ := os.Readlink(filepath.Join(again.Path, "l")); target != "/etc/passwd" {
		t.Errorf("link to %q", target)
	}
	root, err := os.Stat(again.Path)
	must(t, err)
	if st := root.Sys().(*syscall.Stat_t); st.Uid != 70 || root.Mode().Perm() != 0o700 {
		t.Errorf("the volume itself: owner %d, mode %v", st.Uid, root.Mode())
	}
	if u, err := s.Usage(t.Context(), "copy"); err != nil || u.Files != 2 || u.Bytes < 4 {
		t.Errorf("usage %+v, %v", u, err)
	}
}

// TestRestoreIsWholeOrNothing: neither a volume that is there nor the host is
// changed by an archive, and of a bad one nothing stays.
func TestRestoreIsWholeOrNothing(t *testing.T) {
	outside := t.TempDir()
	canary := filepath.Join(outside, "canary")
	must(t, os.WriteFile(canary, []byte("untouched"), 0o600))
	dir := t.TempDir()
	s := openTest(t, dir)
	_, err := s.Create("there", Record{})
	must(t, err)
	if _, err := s.Restore(t.Context(), "there", archive(t, tar.Header{Name: "f", Uname: "x"})); !errors.Is(err, ErrExists) {
		t.Errorf("over a volume that is there: %v", err)
	}
	for name, bad := range map[string]*bytes.Buffer{
		"climbs":       archive(t, tar.Header{Name: "ok", Uname: "x"}, tar.Header{Name: "../evil", Uname: "x"}),
		"absolute":     archive(t, tar.Header{Name: canary, Uname: "evil"}),
		"whiteout":     archive(t, tar.Header{Name: ".wh.f"}),
		"cut":          bytes.NewBuffer(archive(t, tar.Header{Name: "f", Uname: strings.Repeat("x", 2000)}).Bytes()[:1500]),
		"device":       archive(t, tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}),
		"link outside": archive(t, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside}, tar.Header{Name: "l/canary", Uname: "evil"}),
	} {
		if _, err := s.Restore(t.Context(), "new", bad); err == nil && name != "link outside" {
			t.Errorf("%s: restored", name)
		}
		if name == "link outside" { // contained: its link is looked up inside
			s.Remove("new")
		}
	}
	if raw, err := os.ReadFile(canary); err != nil || string(raw) != "untouched" {
		t.Errorf("the host's file holds %q, %v", raw, err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{recordsDir, "there"}) {
		t.Errorf("left behind: %q", left)
	}
}

func TestNames(t *testing.T) {
	s := openTest(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".records", "-x", strings.Repeat("x", 64), "a\x00b"} {
		if _, err := s.Create(name, Record{}); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if err := s.Remove(name); !errors.Is(err, ErrName) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	if _, err := s.Create("a", Record{}); err != nil {
		t.Error(err)
	}
	if _, err := s.Create("a", Record{}); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	must(t, s.Remove("a"))
	if err := s.Remove("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestLinkInPlaceOfAVolume: a link that somebody put into the store is no volume.
func TestLinkInPlaceOfAVolume(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	must(t, os.Symlink("/etc", filepath.Join(dir, "evil")))
	if _, err := s.Get("evil"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("listed %v, %v", all, err)
	}
}

func TestFillTakesWhatTheImageHas(t *testing.T) {
	layer := t.TempDir()
	must(t, errors.Join(os.MkdirAll(filepath.Join(layer, "var/lib/db"), 0o755), os.WriteFile(filepath.Join(layer, "var/lib/db/seed"), []byte("s"), 0o600),
		os.Chown(filepath.Join(layer, "var/lib/db"), 999, 999), os.Chown(filepath.Join(layer, "var/lib/db/seed"), 999, 999),
		os.Symlink("lib", filepath.Join(layer, "var/link"))))
	view, err := unpack.OpenView([]string{layer})
	must(t, err)
	defer view.Close()
	s := openTest(t, t.TempDir())
	v, err := s.Create("db", Record{})
	must(t, err)
	must(t, s.Fill(t.Context(), "db", view, "/var/link/db"))
	info, err := os.Stat(filepath.Join(v.Path, "seed"))
	must(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 999 {
		t.Errorf("owner %d", uid)
	}
	if err := s.Fill(t.Context(), "db", view, "/var/lib/db"); !errors.Is(err, ErrExists) {
		t.Errorf("over what is there: %v", err)
	}
	_, err = s.Create("none", Record{})
	must(t, err)
	must(t, s.Fill(t.Context(), "none", view, "/no/such"))
}

// TestLeftoversGo: what a crash left half made is removed.
func TestLeftoversGo(t *testing.T) {
	dir := t.TempDir()
	openTest(t, dir)
	must(t, os.MkdirAll(filepath.Join(dir, newPrefix+"1", "sub"), 0o755))
	openTest(t, dir)
	if _, err := os.Stat(filepath.Join(dir, newPrefix+"1")); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
