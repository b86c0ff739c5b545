package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/internal/tartext"
)

// FuzzExtract: whatever an app calls its files and links, nothing beside the
// folder is written, no link that was not there leads away, no set-uid bit comes
// out.
func FuzzExtract(f *testing.F) {
	for text, top := range map[string]string{
		"5\t755\tapp/\n0\t4755\tapp/f\tf\n1\t644\tapp/g\tapp/f\n2\t777\tapp/l\tf": "renamed",
		"0\t644\t../canary\tevil":                                       "",
		"5\t755\td/\n2\t777\td/l\t../..\n0\t644\td/l/canary\tevil":      "x",
		"2\t777\ta\tb\n2\t777\tb\t..\n0\t644\ta/canary\tevil":           "",
		"5\t755\t./\n2\t777\t./l\t.\n0\t644\town/canary\tevil":          "own",
		"5\t0\td/\n0\t644\td/f\tx\n1\t644\td/h\t../canary\n6\t644\td/p": "d",
	} {
		f.Add(text, top)
	}
	f.Fuzz(func(t *testing.T, text, top string) {
		if top != "" && (top != filepath.Base(top) || top == ".." || top == ".") {
			return // it is a name of the user's
		}
		outer := t.TempDir()
		dir, canary := filepath.Join(outer, "in"), filepath.Join(outer, "canary")
		for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(canary, []byte("untouched"), 0o600), os.Symlink(outer, filepath.Join(dir, "own"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		extract(bytes.NewReader(tartext.Archive(text)), dir, top) //nolint:errcheck // contained or refused
		raw, err := os.ReadFile(canary)
		beside, listErr := os.ReadDir(outer)
		if err != nil || listErr != nil || string(raw) != "untouched" || len(beside) != 2 {
			t.Errorf("beside the folder: %q, %v, %v, %v", raw, beside, err, listErr)
		}
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { //nolint:errcheck // a folder may be closed to us
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
			real, err := filepath.EvalSymlinks(path)
			if err == nil && path != filepath.Join(dir, "own") && real != dir && !strings.HasPrefix(real, dir+"/") {
				t.Errorf("%s leads to %s", path, real)
			}
			return nil
		})
	})
}
