//go:build linux

package unpack

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// layers unpacks tars on each other, lowest first.
func layers(t *testing.T, tars ...[]byte) []string {
	t.Helper()
	dirs, _, err := stack(t, tars...)
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// listed is a line for every file below dir: type, mode, owner, time, content.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var lines strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		st, body := stat(t, path), []byte(nil)
		if d.Type().IsRegular() {
			body, err = os.ReadFile(path)
		}
		target, _ := os.Readlink(path)
		fmt.Fprintf(&lines, "%s %o %d:%d %d %d %q %q\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Nlink, st.Mtim.Nano(), target, body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

func packed(t *testing.T, dirs []string, path string, how Packing) []byte {
	t.Helper()
	view, err := OpenView(dirs)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out bytes.Buffer
	if err := view.Pack(t.Context(), &out, path, how); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPackedTreeIsTheMergedOne: what Pack writes of two layers unpacks to what
// one layer with the same files unpacks to.
func TestPackedTreeIsTheMergedOne(t *testing.T) {
	below := tarOf(t, entry{name: "etc/"}, entry{name: "etc/gone", body: "x"}, entry{name: "etc/kept", body: "k", uid: 7, gid: 8},
		entry{name: "old/"}, entry{name: "old/hidden", body: "h"}, entry{name: "link", kind: '2', link: "/etc/kept"})
	above := tarOf(t, entry{name: "etc/"}, entry{name: "etc/.wh.gone"}, entry{name: "old/"}, entry{name: "old/.wh..wh..opq"}, entry{name: "old/new", body: "n"},
		entry{name: "a", body: "twice", pax: map[string]string{paxXattr + "user.note": "n"}}, entry{name: "b", kind: '1', link: "a"}, entry{name: "pipe", kind: '6'})
	want := layers(t, tarOf(t, entry{name: "etc/"}, entry{name: "etc/kept", body: "k", uid: 7, gid: 8}, entry{name: "link", kind: '2', link: "/etc/kept"},
		entry{name: "old/"}, entry{name: "old/new", body: "n"},
		entry{name: "a", body: "twice", pax: map[string]string{paxXattr + "user.note": "n"}}, entry{name: "b", kind: '1', link: "a"}, entry{name: "pipe", kind: '6'}))
	got := layers(t, packed(t, layers(t, below, above), ".", Packing{}))
	if have, wanted := listed(t, got[0]), listed(t, want[0]); have != wanted {
		t.Errorf("the trees differ:\n%s\nwant\n%s", have, wanted)
	}
	one, two := stat(t, filepath.Join(got[0], "a")), stat(t, filepath.Join(got[0], "b"))
	if one.Ino != two.Ino {
		t.Error("a hard link was broken")
	}
	var note [8]byte
	if n, err := unix.Getxattr(filepath.Join(got[0], "a"), "user.note", note[:]); err != nil || string(note[:n]) != "n" {
		t.Errorf("attribute %q, %v", note[:max(n, 0)], err)
	}
}

// TestPackedMarksComeBack: a layer written with its marks hides the same.
func TestPackedMarksComeBack(t *testing.T) {
	dirs := layers(t, tarOf(t, entry{name: "etc/"}, entry{name: "etc/gone", body: "x"}, entry{name: "old/"}, entry{name: "old/hidden", body: "h"}),
		tarOf(t, entry{name: "etc/"}, entry{name: "etc/.wh.gone"}, entry{name: "old/"}, entry{name: "old/.wh..wh..opq"}, entry{name: "f", body: "f", uid: 1 << 20, gid: 1<<20 + 5}))
	raw := packed(t, dirs[1:], ".", Packing{Marks: true, IDBase: 1 << 20})
	again := t.TempDir()
	if _, err := Layer(t.Context(), again, bytes.NewReader(raw), testLimits); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(again, "etc/gone"))
	if err != nil || !isWhiteout(info) {
		t.Errorf("the whiteout: %v, %v", info, err)
	}
	root, err := os.OpenRoot(again)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if hides, err := isOpaque(root, "old"); err != nil || !hides {
		t.Errorf("the opaque directory: %v, %v", hides, err)
	}
	if st := stat(t, filepath.Join(again, "f")); st.Uid != 0 || st.Gid != 5 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestChanges(t *testing.T) {
	dirs := layers(t, tarOf(t, entry{name: "etc/"}, entry{name: "etc/gone", body: "x"}, entry{name: "etc/same", body: "x"}, entry{name: "old/"}, entry{name: "old/hidden", body: "h"},
		entry{name: "old/again", body: "h"}, entry{name: "quiet/"}, entry{name: "quiet/x", body: "x"}, entry{name: "file", body: "x"}),
		tarOf(t, entry{name: "etc/"}, entry{name: "etc/.wh.gone"}, entry{name: "etc/new/"}, entry{name: "etc/new/f", body: "f"}, entry{name: "old/"}, entry{name: "old/.wh..wh..opq"},
			entry{name: "old/again", body: "2"}, entry{name: "quiet/"}, entry{name: "file/"}, entry{name: "file/in", body: "x"}, entry{name: "ours/"}, entry{name: "ours/x", body: "x"}))
	below, err := OpenView(dirs[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	upper, err := OpenView(dirs[1:])
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	found, err := Changes(below, upper, func(path string) bool { return path == "/ours" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range found {
		got = append(got, string(c.Kind)+" "+c.Path)
	}
	want := "C /etc, D /etc/gone, A /etc/new, A /etc/new/f, C /file, A /file/in, C /old, C /old/again, D /old/hidden"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

// TestAPipeInPlaceOfADirectory: an app may put a FIFO where a directory was;
// nobody waits for its other end.
func TestAPipeInPlaceOfADirectory(t *testing.T) {
	dir := t.TempDir()
	view, err := OpenView([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if err := os.MkdirAll(filepath.Join(dir, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	n, err := view.Lookup("d", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "d"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := view.List(n); err == nil {
		t.Errorf("listed %v", list)
	}
	if _, _, err := Size(t.Context(), dir); err != nil {
		t.Error(err)
	}
}
