//go:build linux

package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreBringsBackEverything(t *testing.T) {
	dir := t.TempDir()
	upper, s := filepath.Join(dir, "upper"), Store{filepath.Join(dir, "snapshots")}
	file := filepath.Join(upper, "etc/conf")
	must(t, errors.Join(os.MkdirAll(filepath.Join(upper, "etc"), 0o750), os.WriteFile(file, []byte("one"), 0o600), os.Chown(file, 1<<28+5, 1<<28+6),
		unix.Mknod(filepath.Join(upper, "gone"), unix.S_IFCHR, 0), os.Mkdir(filepath.Join(upper, "new"), 0o755),
		unix.Setxattr(filepath.Join(upper, "new"), "user.overlay.opaque", []byte("y"), 0), os.Chown(upper, 1<<28, 1<<28)))
	first, err := s.Create(t.Context(), "first", upper)
	must(t, err)
	if first.Bytes == 0 {
		t.Error("it is empty")
	}
	if diff, err := s.Diff(t.Context(), "first", upper); err != nil || len(diff) != 0 {
		t.Errorf("at once: %v, %v", diff, err)
	}
	must(t, errors.Join(os.WriteFile(file, []byte("other"), 0o600), os.WriteFile(filepath.Join(upper, "added"), nil, 0o600), os.WriteFile(filepath.Join(upper, ".dot"), nil, 0o600), os.Remove(filepath.Join(upper, "gone"))))
	diff, err := s.Diff(t.Context(), "first", upper)
	must(t, err)
	var lines []string
	for _, c := range diff {
		lines = append(lines, string(c.Kind)+" "+c.Path)
	}
	if got := strings.Join(lines, ", "); got != "A /.dot, A /added, C /etc/conf, A /gone" {
		t.Errorf("diff: %s", got)
	}
	must(t, s.Restore(t.Context(), "first", upper))
	info, err := os.Lstat(file)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1<<28+5 || st.Gid != 1<<28+6 || info.Mode().Perm() != 0o600 {
		t.Errorf("owner %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
	if raw, _ := os.ReadFile(file); string(raw) != "one" {
		t.Errorf("content %q", raw)
	}
	gone, err := os.Lstat(filepath.Join(upper, "gone"))
	if err != nil || gone.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("the whiteout: %v, %v", gone, err)
	}
	var value [4]byte
	if n, err := unix.Getxattr(filepath.Join(upper, "new"), "user.overlay.opaque", value[:]); err != nil || string(value[:n]) != "y" {
		t.Errorf("the opaque directory: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(upper, "added")); !os.IsNotExist(err) {
		t.Errorf("what came later stays: %v", err)
	}
	root, err := os.Lstat(upper)
	must(t, err)
	if st := root.Sys().(*syscall.Stat_t); st.Uid != 1<<28 {
		t.Errorf("the layer itself belongs to %d", st.Uid)
	}
}

func TestNamesOfSnapshots(t *testing.T) {
	dir := t.TempDir()
	upper, s := filepath.Join(dir, "upper"), Store{filepath.Join(dir, "snapshots")}
	must(t, os.Mkdir(upper, 0o755))
	for _, name := range []string{"", "..", "../x", "a/b", ".x"} {
		if _, err := s.Create(t.Context(), name, upper); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := s.Create(t.Context(), "a", upper)
	must(t, err)
	if _, err := s.Create(t.Context(), "a", upper); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if err := s.Restore(t.Context(), "b", upper); !errors.Is(err, ErrNotFound) {
		t.Errorf("restore of none: %v", err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].Name != "a" {
		t.Errorf("list: %+v, %v", list, err)
	}
	must(t, s.Remove("a"))
	if err := s.Remove("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestRestoreThatBroke: of a snapshot that cannot be read the layer stays as it
// was, and after a crash between the two renames it comes back.
func TestRestoreThatBroke(t *testing.T) {
	dir := t.TempDir()
	upper, s := filepath.Join(dir, "upper"), Store{filepath.Join(dir, "snapshots")}
	must(t, errors.Join(os.Mkdir(upper, 0o755), os.WriteFile(filepath.Join(upper, "f"), []byte("f"), 0o600)))
	_, err := s.Create(t.Context(), "a", upper)
	must(t, err)
	path := filepath.Join(s.Dir, "a"+suffix)
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, raw[:len(raw)-8], 0o600))
	if err := s.Restore(t.Context(), "a", upper); err == nil {
		t.Error("a cut snapshot was restored")
	}
	if raw, _ := os.ReadFile(filepath.Join(upper, "f")); string(raw) != "f" {
		t.Errorf("the layer holds %q", raw)
	}
	must(t, os.Rename(upper, upper+".old"))
	must(t, Recover(upper))
	if raw, _ := os.ReadFile(filepath.Join(upper, "f")); string(raw) != "f" {
		t.Errorf("after a crash the layer holds %q", raw)
	}
}
