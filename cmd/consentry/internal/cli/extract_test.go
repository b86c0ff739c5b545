package cli

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stream is a tar archive; a file's content is its Gname.
func stream(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		body := h.Gname
		h.Gname, h.Size = "", int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o640
		}
		writeErr := w.WriteHeader(&h)
		_, bodyErr := w.Write([]byte(body))
		if err := errors.Join(writeErr, bodyErr); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func TestExtract(t *testing.T) {
	dir := t.TempDir()
	tree := func() *bytes.Buffer {
		return stream(t, tar.Header{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o500}, tar.Header{Name: "app/f", Gname: "f", Mode: 0o4755},
			tar.Header{Name: "app/g", Typeflag: tar.TypeLink, Linkname: "app/f"}, tar.Header{Name: "app/l", Typeflag: tar.TypeSymlink, Linkname: "f"},
			tar.Header{Name: "app/p", Typeflag: tar.TypeFifo})
	}
	for _, top := range []string{"", "renamed"} {
		e, err := extract(tree(), dir, top)
		if err != nil {
			t.Fatal(err)
		}
		name := top
		if top == "" {
			name = "app"
		}
		if e.files != 4 || !slices.Equal(e.left, []string{name + "/p"}) {
			t.Errorf("%q: %d files, left out %q", top, e.files, e.left)
		}
		for _, file := range []string{"f", "g", "l"} {
			if raw, err := os.ReadFile(filepath.Join(dir, name, file)); string(raw) != "f" {
				t.Errorf("%s/%s: %q, %v", name, file, raw, err)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, name, "f")); err != nil || info.Mode()&os.ModeSetuid != 0 {
			t.Errorf("set-uid came out: %v, %v", info, err)
		}
	}
}

// TestExtractNeverLeaves: whatever an app calls its files and links, nothing
// beside the folder is written, and no link leads there.
func TestExtractNeverLeaves(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"climbing name":         {{Name: "../canary", Gname: "evil"}},
		"climbing below":        {{Name: "d/", Typeflag: tar.TypeDir}, {Name: "d/../../canary", Gname: "evil"}},
		"absolute name":         {{Name: "/canary", Gname: "evil"}},
		"link out":              {{Name: "d/", Typeflag: tar.TypeDir}, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, {Name: "d/l/canary", Gname: "evil"}},
		"absolute link":         {{Name: "d/", Typeflag: tar.TypeDir}, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "d/l/canary", Gname: "evil"}},
		"a link and no more":    {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../canary"}},
		"hard link out":         {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../canary"}},
		"the folder's own link": {{Name: "own/canary", Gname: "evil"}},
	} {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			dir, canary := filepath.Join(outer, "in"), filepath.Join(outer, "canary")
			err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(canary, []byte("untouched"), 0o600), os.Symlink(outer, filepath.Join(dir, "own")))
			if err != nil {
				t.Fatal(err)
			}
			extract(stream(t, headers...), dir, "") //nolint:errcheck // contained or refused
			raw, err := os.ReadFile(canary)
			entries, listErr := os.ReadDir(outer)
			if err := errors.Join(err, listErr); err != nil || string(raw) != "untouched" || len(entries) != 2 {
				t.Errorf("beside the folder: %q, %v, %v", raw, entries, err)
			}
			filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
				real, err := filepath.EvalSymlinks(path)
				if err == nil && d.Name() != "own" && !strings.HasPrefix(real, dir) {
					t.Errorf("%s leads to %s", path, real)
				}
				return nil
			})
		})
	}
}
