package appfs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/tartext"
)

// FuzzPut: whatever an archive says, put into a tree with links that lead out of
// it, nothing outside changes, and what appears inside belongs to the app, is no
// device, and gives no more rights.
func FuzzPut(f *testing.F) {
	for dir, text := range map[string]string{
		"/srv/app": "0\t4755\told\tmine\n5\t1777\td/\n0\t644\td/f\tf",
		"/":        "2\t777\tmine/x\t/etc\n0\t644\tmine/canary\tevil\n0\t644\tsrv/out/canary\tevil",
		"/srv":     "2\t777\tln\t../..\n0\t644\tln/hosts/canary\tevil\n0\t644\t../../evil\tx",
		"/srv/out": "0\t644\tcanary\tevil",
		"/mine":    "0\t644\tcanary\tevil",
		"/srv/..":  "3\t644\tdev\n1\t644\th\tsrv/file\n6\t644\tfifo",
		"/srv/new": "0\t644\tf\tx",
		"":         "5\t755\tsrv/gone/\n0\t644\tsrv/gone/n\tn\n0\t644\tsrv\tx",
	} {
		f.Add(dir, text)
	}
	f.Fuzz(func(t *testing.T, dir, text string) {
		p := newPlace(t)
		must(t, os.Symlink(p.hosts, filepath.Join(p.upper, "mine")))
		must(t, os.Mkdir(filepath.Join(p.upper, "srv"), 0o755))
		must(t, unix.Mknod(filepath.Join(p.upper, "srv/gone"), unix.S_IFCHR, 0))
		p.Put(t.Context(), dir, bytes.NewReader(tartext.Archive(text))) //nolint:errcheck // contained or refused
		p.onlyFilesOfTheApp()
		entries, err := os.ReadDir(p.hosts)
		must(t, err)
		if raw, _ := os.ReadFile(filepath.Join(p.hosts, "canary")); string(raw) != "untouched" || len(entries) != 1 {
			t.Errorf("the host's folder: %q, %v", raw, entries)
		}
		if raw, _ := os.ReadFile(filepath.Join(p.layer, "srv/app/old")); string(raw) != "image" {
			t.Errorf("the image's file: %q", raw)
		}
	})
}

func (p *place) onlyFilesOfTheApp() {
	must(p.t, filepath.WalkDir(p.upper, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		gone := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
		if ok := gone || d.IsDir() || info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0; !ok || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			p.t.Errorf("%s is %v", path, info.Mode())
		}
		if info.Mode().IsRegular() && (st.Uid != base+33 || st.Gid != base+34 || st.Nlink != 1) {
			p.t.Errorf("%s belongs to %d:%d, %d links", path, st.Uid, st.Gid, st.Nlink)
		}
		return nil
	}))
}
