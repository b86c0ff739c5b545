package ninep

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// scripted is a connection on which the guest says what it was told to.
type scripted struct{ *bytes.Reader }

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }

// session of a guest that does a bit of everything, for the fuzzer to begin with.
func recorded() []byte {
	var all bytes.Buffer
	tag := uint16(0)
	say := func(kind byte, fill func(*writer)) {
		tag++
		w := newAnswer(kind, tag)
		fill(w)
		all.Write(w.bytes())
	}
	c := &client{last: top}
	say(tVersion, func(w *writer) { w.u32(MaxMessage); w.word(version) })
	say(tAttach, func(w *writer) { w.u32(top); w.u32(noFile); w.word("app"); w.word(""); w.u32(0) })
	say(tWalk, c.walking(top, "sub", "deep"))
	say(tLopen, opening(c.last, flagBoth))
	say(tRead, reading(c.last, 0, 100))
	say(tWrite, writing(c.last, 2, "text"))
	say(tSetAttr, setting(c.last, setSize|setMode, 0o600, 0, 3))
	say(tWalk, c.walking(top))
	say(tLcreate, creating(c.last, "new", flagBoth, 0o644))
	say(tMkdir, creatingFolder(top, "box"))
	say(tSymlink, linking(top, "way", "../../letter"))
	say(tWalk, c.walking(top, "way"))
	say(tReadlink, numbered(c.last))
	say(tRenameAt, renaming(top, "new", top, "old"))
	say(tWalk, c.walking(top))
	say(tLopen, opening(c.last, 0))
	say(tReaddir, reading(c.last, 0, 1000))
	say(tUnlinkAt, unlinking(top, "old", 0))
	say(tGetAttr, func(w *writer) { w.u32(top); w.u64(basic) })
	say(tStatFS, numbered(top))
	say(tFlush, func(w *writer) { w.u16(1) })
	say(tClunk, numbered(c.last))
	return all.Bytes()
}

// FuzzServe is a guest that says anything: what lies beside its folder, and what
// is closed in it, stays as it is, and its words end with it.
func FuzzServe(f *testing.F) {
	f.Add(recorded(), true)
	f.Add(recorded(), false)
	f.Fuzz(func(t *testing.T, said []byte, write bool) {
		around := t.TempDir()
		must(t, os.WriteFile(filepath.Join(around, "letter"), []byte("outside\n"), 0o600))
		dir := filepath.Join(around, "dir")
		for _, name := range []string{"sub/deep", "secret/key"} {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, name), []byte("inside\n"), 0o600))
		}
		p := NewPlace(app, func(context.Context, string) error { return sandbox.ErrDenied })
		must(t, p.Give(sandbox.Folder{Source: dir, Write: write, Parts: []sandbox.Part{{Path: "secret"}}}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		p.Serve(ctx, scripted{bytes.NewReader(said)})
		p.Take()
		if ctx.Err() != nil {
			t.Error("it did not end with the guest's words")
		}
		for name, want := range map[string]string{"letter": "outside\n", "dir/secret/key": "inside\n"} {
			if text, err := os.ReadFile(filepath.Join(around, name)); err != nil || string(text) != want {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "sub/deep")); !write && (err != nil || string(text) != "inside\n") {
			t.Errorf("a file to be read: %q, %v", text, err)
		}
		if entries, err := os.ReadDir(around); err != nil || len(entries) != 2 {
			t.Errorf("around it lies %v, %v", entries, err)
		}
	})
}
