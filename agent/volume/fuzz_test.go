//go:build linux

package volume

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/internal/tartext"
)

// FuzzRestore: an archive makes a whole volume or none, changes nothing beside
// it, and what a volume's backup makes is the same volume.
func FuzzRestore(f *testing.F) {
	for _, text := range []string{
		"5\t700\t./\n0\t640\tf\tkept\n2\t777\tl\t/etc/passwd\n1\t640\th\tf",
		"0\t644\t../canary\tevil",
		"2\t777\tl\t..\n0\t644\tl/canary\tevil\n1\t644\th\tl/canary",
		"0\t644\t.wh.f\n0\t644\t.wh..wh..opq",
		"3\t644\tdev\n6\t644\tfifo\n0\t6755\tsu\tx",
		"5\t755\td/\n0\t644\td\tx\n5\t755\td/e/\n2\t777\td\te",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		outer := t.TempDir()
		canary := filepath.Join(outer, "canary")
		must(t, os.WriteFile(canary, []byte("untouched"), 0o600))
		s := openTest(t, filepath.Join(outer, "volumes"))
		v, err := s.Restore(t.Context(), "v", bytes.NewReader(tartext.Archive(text)))
		raw, _ := os.ReadFile(canary)
		beside, listErr := os.ReadDir(outer)
		if string(raw) != "untouched" || listErr != nil || len(beside) != 2 {
			t.Errorf("beside the volumes: %q, %v, %v", raw, beside, listErr)
		}
		if err != nil {
			if all, err := s.List(); err != nil || len(all) != 0 {
				t.Errorf("of a bad archive there is %v, %v", all, err)
			}
			return
		}
		must(t, filepath.WalkDir(v.Path, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeDevice != 0 {
				t.Errorf("%s is a device", path)
			}
			return err
		}))
		first := backup(t, s, "v")
		_, err = s.Restore(t.Context(), "again", bytes.NewReader(first))
		must(t, err)
		if second := backup(t, s, "again"); !bytes.Equal(first, second) {
			t.Errorf("a backup of %d bytes came back as another, of %d", len(first), len(second))
		}
	})
}

func backup(t *testing.T, s *Store, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, s.Backup(t.Context(), name, &out))
	return out.Bytes()
}
