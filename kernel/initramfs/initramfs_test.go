package initramfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"
)

func sample(t *testing.T, at time.Time, mode fs.FileMode) Contents {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"guest", "overlay.ko", "fuse.ko"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte("I am "+name), mode), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	return Guest(filepath.Join(dir, "guest"), []string{filepath.Join(dir, "overlay.ko"), filepath.Join(dir, "fuse.ko")})
}

// TestSameBytes: the folder, the day and the permissions of the files here do
// not get in.
func TestSameBytes(t *testing.T) {
	var first, second bytes.Buffer
	for w, c := range map[*bytes.Buffer]Contents{
		&first:  sample(t, time.Unix(1, 0), 0o600),
		&second: sample(t, time.Now(), 0o755),
	} {
		if err := c.Write(w); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same contents gave other bytes")
	}
}

// TestContents reads the archive back.
func TestContents(t *testing.T) {
	var packed bytes.Buffer
	if err := sample(t, time.Now(), 0o644).Write(&packed); err != nil {
		t.Fatal(err)
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(packed.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
		if r.Name == "init" {
			text, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
			if err != nil || string(text) != "I am guest" || r.Mode&0o777 != 0o755 {
				t.Errorf("init is %q with mode %o, %v", text, r.Mode, err)
			}
		}
	}
	const want = "dev dev/console files folders init modules modules/000-overlay.ko modules/001-fuse.ko newroot proc run sys tmp"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("it holds\n%s, want\n%s", got, want)
	}
}

func TestPathsAreClean(t *testing.T) {
	for _, name := range []string{"", "/", "init", "/a/../b", "/a/"} {
		if err := (Contents{Texts: map[string]string{name: "x"}}).Write(io.Discard); err == nil {
			t.Errorf("%q was packed", name)
		}
	}
}

func TestMissingProgram(t *testing.T) {
	if err := Guest(filepath.Join(t.TempDir(), "none"), nil).Write(io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
