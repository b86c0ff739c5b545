package ninep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// TestNothingBeforeTheYes: the name of the place is seen; a touch waits, and goes
// on in the folder.
func TestNothingBeforeTheYes(t *testing.T) {
	dir := home(t)
	touched, answer := make(chan string, 10), make(chan error)
	var p *Place
	p = NewPlace(app, func(ctx context.Context, name string) error {
		touched <- name
		err := <-answer
		if err == nil {
			err = p.Give(sandbox.Folder{Source: dir})
		}
		return err
	})
	c := dial(t, p)
	if mode, uid, _ := c.stat(top); mode != placeMode || uid != app.UID {
		t.Errorf("the place has mode %o, owner %d", mode, uid)
	}
	tag := c.send(tWalk, c.walking(top, "letter"))
	if name := <-touched; name != "letter" {
		t.Errorf("asked about %q", name)
	}
	c.stat(top) // others go on
	answer <- nil
	if got, kind, r := c.receive(); got != tag || kind != tWalk+answerOffset || r.u16() != 1 {
		t.Errorf("answer %d to %d", kind, got)
	}
	if text, e := c.text("letter"); text != "dear\n" || e != 0 {
		t.Errorf("%q, %v", text, e)
	}
	if p.Take() != 1 {
		t.Error("one file was open")
	}
	c.send(tLopen, opening(top, 0))
	if name := <-touched; name != "." {
		t.Errorf("asked about %q", name)
	}
	answer <- sandbox.ErrDenied
	if _, kind, r := c.receive(); kind != tLerror+answerOffset || errno(r.u32()) != eAccess {
		t.Errorf("answer %d", kind)
	}
}

// TestRefusals: what is no yes is an error that says what the app can do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errno
	}{
		{sandbox.ErrDenied, eAccess}, {sandbox.ErrBlocked, eAccess}, {sandbox.ErrUndeclared, eAccess},
		{sandbox.ErrHeld, eAgain}, {sandbox.ErrBusy, eAgain},
		{sandbox.ErrNothing, eNoEntry}, {sandbox.ErrUnavailable, eIO}, {errors.New("any"), eIO},
		{nil, eAccess}, // a yes, and nothing was given
	} {
		p := NewPlace(app, func(context.Context, string) error { return c.err })
		dial(t, p).want(c.want, tWalk, func(w *writer) { w.u32(top); w.u32(9); w.u16(1); w.word("letter") })
	}
	dial(t, NewPlace(app, nil)).want(eAccess, tLopen, opening(top, 0))
}

// TestTake: what was open is cut, and every number of a file is dead.
func TestTake(t *testing.T) {
	dir := home(t)
	c, p := served(t, sandbox.Folder{Source: dir, Write: true})
	letter, sub := c.to("letter"), c.to("sub")
	c.must(tLopen, opening(letter, flagBoth))
	deep := c.to("sub", "deep")
	if open := p.Take(); open != 1 {
		t.Errorf("%d were open", open)
	}
	again := func() {
		c.want(eAccess, tRead, reading(letter, 0, 10))
		c.want(eAccess, tWrite, writing(letter, 0, "x"))
		c.want(eAccess, tWalk, c.walking(sub, "deep"))
		c.want(eAccess, tLopen, opening(deep, 0))
		c.want(eAccess, tSetAttr, setting(deep, setMode, 0, 0, 0))
		c.want(eAccess, tMkdir, func(w *writer) { w.u32(sub); w.word("new"); w.u32(0o755); w.u32(0) })
		c.want(eAccess, tGetAttr, func(w *writer) { w.u32(deep); w.u64(basic) })
	}
	again()
	c.want(eAccess, tWalk, c.walking(top, "letter"))
	must(t, p.Give(sandbox.Folder{Source: dir}))
	again() // it is another yes
	if text, e := c.text("letter"); text != "dear\n" || e != 0 {
		t.Errorf("%q, %v", text, e)
	}
	if err := p.Give(sandbox.Folder{Source: dir}); err == nil {
		t.Error("given twice")
	}
}

// TestFlush: a process that is killed while it waits leaves nothing behind.
func TestFlush(t *testing.T) {
	asked, ended := make(chan bool, 1), make(chan bool, 1)
	p := NewPlace(app, func(ctx context.Context, _ string) error {
		asked <- true
		<-ctx.Done()
		ended <- true
		return ctx.Err()
	})
	c := dial(t, p)
	old := c.send(tWalk, c.walking(top, "letter"))
	<-asked
	c.must(tFlush, func(w *writer) { w.u16(old) })
	<-ended
	c.stat(top) // and no answer to the old one before that to this
}

// TestQuestionsAreBounded: more than so many touches at once are told to try again.
func TestQuestionsAreBounded(t *testing.T) {
	p := NewPlace(app, func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
	c := dial(t, p)
	for range maxAsking {
		c.send(tWalk, c.walking(top, "letter"))
	}
	c.want(eAgain, tWalk, c.walking(top, "letter"))
}

func TestOneConnection(t *testing.T) {
	c, p := served(t, sandbox.Folder{Source: home(t)})
	if err := p.Serve(t.Context(), c.conn); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("a second connection: %v", err)
	}
}

// TestParts: each has its own rights, under whatever name.
func TestParts(t *testing.T) {
	dir := home(t)
	c, _ := served(t, sandbox.Folder{Source: dir, Write: true, Parts: []sandbox.Part{{Path: "secret"}, {Path: "sub/deep", Read: true}}})
	if _, e := c.text("secret", "key"); e != eNoEntry { // the walk ends at what is closed
		t.Errorf("a closed part: %v", e)
	}
	c.want(eAccess, tLopen, opening(c.to("secret"), 0))
	if mode, _, _ := c.stat(c.to("secret")); mode != modeFolder {
		t.Errorf("its mode is %o", mode)
	}
	if text, e := c.text("sub", "deep"); text != "down\n" || e != 0 {
		t.Errorf("a part to be read: %q, %v", text, e)
	}
	deep, sub := c.to("sub", "deep"), c.to("sub")
	c.want(eReadOnly, tLopen, opening(deep, flagWrite))
	c.want(eReadOnly, tLopen, opening(deep, flagTrunc))
	c.want(eReadOnly, tSetAttr, setting(deep, setSize, 0, 0, 0))
	for _, names := range [][2]string{{"secret", "open"}, {"sub", "other"}, {"letter", "secret"}} {
		c.want(map[bool]errno{true: eAccess, false: eBusy}[names[0] == "secret" || names[1] == "secret"], tRenameAt, renaming(top, names[0], top, names[1]))
	}
	c.want(eReadOnly, tRenameAt, renaming(sub, "deep", top, "mine"))
	c.want(eReadOnly, tUnlinkAt, unlinking(sub, "deep", 0))
	c.want(eReadOnly, tLink, func(w *writer) { w.u32(top); w.u32(deep); w.word("mine") })
	c.want(eReadOnly, tLcreate, creating(sub, "deep", flagWrite, 0o644))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := home(t)
	c, _ := served(t, sandbox.Folder{Source: dir})
	letter := c.to("letter")
	for name, e := range map[string]func(){
		"open":    func() { c.want(eReadOnly, tLopen, opening(letter, flagBoth)) },
		"create":  func() { c.want(eReadOnly, tLcreate, creating(top, "new", flagWrite, 0o644)) },
		"mkdir":   func() { c.want(eReadOnly, tMkdir, creatingFolder(top, "new")) },
		"symlink": func() { c.want(eReadOnly, tSymlink, linking(top, "new", "/")) },
		"unlink":  func() { c.want(eReadOnly, tUnlinkAt, unlinking(top, "letter", 0)) },
		"rename":  func() { c.want(eReadOnly, tRenameAt, renaming(top, "letter", top, "new")) },
		"mode":    func() { c.want(eReadOnly, tSetAttr, setting(letter, setMode, 0o600, 0, 0)) },
		"link":    func() { c.want(eReadOnly, tLink, func(w *writer) { w.u32(top); w.u32(letter); w.word("new") }) },
	} {
		t.Run(name, func(*testing.T) { e() })
	}
	c.must(tLopen, opening(letter, 0))
	c.want(eBadFile, tWrite, writing(letter, 0, "x")) // it is open for reading
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func creatingFolder(number uint32, name string) func(*writer) {
	return func(w *writer) { w.u32(number); w.word(name); w.u32(0o755); w.u32(0) }
}

func linking(number uint32, name, text string) func(*writer) {
	return func(w *writer) { w.u32(number); w.word(name); w.word(text); w.u32(0) }
}

// TestFiles: an app does what apps do, and the user's files are as it says.
func TestFiles(t *testing.T) {
	dir := home(t)
	c, _ := served(t, sandbox.Folder{Source: dir, Write: true})
	made := c.to()
	c.must(tLcreate, creating(made, "new", flagBoth|flagAppend, 0o640))
	c.must(tWrite, writing(made, 0, "one"))
	c.must(tWrite, writing(made, 0, "two")) // at the end, wherever the guest thinks that is
	c.must(tFsync, func(w *writer) { w.u32(made); w.u32(0) })
	holds(t, dir, "new", "onetwo")
	if mode, uid, size := c.stat(made); mode != modeFile|0o640 || uid != app.UID || size != 6 {
		t.Errorf("mode %o, owner %d, %d bytes", mode, uid, size)
	}
	named := c.to("new")
	c.must(tMkdir, creatingFolder(top, "box"))
	box := c.to("box")
	c.must(tRenameAt, renaming(top, "new", box, "old"))
	c.must(tSetAttr, setting(named, setSize|setMode|setModified|setModifiedTo, 0o600, 0, 3)) // the number has followed
	holds(t, dir, "box/old", "one")
	if info, err := os.Stat(filepath.Join(dir, "box/old")); err != nil || info.Mode().Perm() != 0o600 || info.ModTime().Unix() != 1 {
		t.Errorf("%v, %v", info, err)
	}
	c.must(tRenameAt, renaming(top, "box", top, "bag"))
	if text, e := c.text("bag", "old"); text != "one" || e != 0 {
		t.Errorf("%q, %v", text, e)
	}
	c.must(tLcreate, creating(box, "in", flagWrite, 0o644)) // and so has the folder's
	holds(t, dir, "bag/in", "")
	c.must(tLink, func(w *writer) { w.u32(top); w.u32(named); w.word("twice") })
	holds(t, dir, "twice", "one")
	c.must(tUnlinkAt, unlinking(top, "twice", 0))
	c.want(eIsFolder, tUnlinkAt, unlinking(top, "bag", 0))
	c.want(eNotEmpty, tUnlinkAt, unlinking(top, "bag", removeFolder))
	c.want(eNoFolder, tUnlinkAt, unlinking(top, "letter", removeFolder))
	c.want(eExist, tMkdir, creatingFolder(top, "bag"))
	c.must(tSymlink, linking(top, "way", "bag/old"))
	if r := c.must(tReadlink, numbered(c.to("way"))); r.word() != "bag/old" {
		t.Error("the link leads elsewhere")
	}
	c.want(eExist, tLcreate, creating(top, "letter", flagWrite|flagExcl, 0o644))
	c.must(tLcreate, creating(c.to(), "letter", flagWrite|flagTrunc, 0o644))
	holds(t, dir, "letter", "")
	if r := c.must(tStatFS, numbered(top)); r.u32() == 0 || r.u32() != blockSize || r.u64() == 0 || r.u64() == 0 {
		t.Error("no room on the disk")
	}
	c.must(tGetLock, func(w *writer) {
		w.u32(made)
		w.u8(1)
		w.u64(0)
		w.u64(0)
		w.u32(7)
		w.word("x")
	})
	c.must(tLock, func(w *writer) {
		w.u32(made)
		w.u8(1)
		w.u32(0)
		w.u64(0)
		w.u64(0)
		w.u32(7)
		w.word("x")
	})
}

func holds(t *testing.T, dir, name, want string) {
	t.Helper()
	if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
		t.Errorf("%s holds %q, %v; want %q", name, text, err, want)
	}
}

// TestNoFileOfAnother: no mode and no owner by which a file would run as another.
func TestNoFileOfAnother(t *testing.T) {
	c, _ := served(t, sandbox.Folder{Source: home(t), Write: true})
	letter := c.to("letter")
	for _, bits := range []uint32{0o4755, 0o2755, 0o1755} {
		c.want(ePerm, tSetAttr, setting(letter, setMode, bits, 0, 0))
	}
	c.want(ePerm, tSetAttr, setting(letter, setUID, 0, 0, 0))
	c.must(tSetAttr, setting(letter, setUID, 0, app.UID, 0)) // its own, as cp -p does
	c.want(eUnsupported, tMknod, func(w *writer) {
		w.u32(top)
		w.word("dev")
		w.u32(0o020666)
		w.u32(1)
		w.u32(3)
		w.u32(0)
	})
	c.want(eUnsupported, tXattrWalk, func(w *writer) { w.u32(letter); w.u32(99); w.word("security.capability") })
}

// TestNamesLeadNowhere: a name is one part of a path, and no link is followed.
func TestNamesLeadNowhere(t *testing.T) {
	dir, outside := home(t), home(t)
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	must(t, os.Symlink(filepath.Join(outside, "letter"), filepath.Join(dir, "file")))
	must(t, os.Symlink("secret", filepath.Join(dir, "in")))
	c, _ := served(t, sandbox.Folder{Source: dir, Write: true, Parts: []sandbox.Part{{Path: "secret"}}})
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00b", string(make([]byte, 256))} {
		c.want(eInvalid, tWalk, c.walking(top, name))
		c.want(eInvalid, tWalk, c.walking(top, "sub", name))
		c.want(eInvalid, tLcreate, creating(top, name, flagWrite, 0o644))
		c.want(eInvalid, tMkdir, creatingFolder(top, name))
		c.want(eInvalid, tUnlinkAt, unlinking(top, name, 0))
		c.want(eInvalid, tRenameAt, renaming(top, name, top, "x"))
		c.want(eInvalid, tRenameAt, renaming(top, "letter", top, name))
	}
	for _, link := range []string{"out", "file", "in"} {
		c.want(eLoop, tLopen, opening(c.to(link), 0))
		c.want(eLoop, tLcreate, creating(c.to(), link, flagWrite|flagTrunc, 0o644))
		c.want(eLoop, tSetAttr, setting(c.to(link), setSize, 0, 0, 0))
		c.want(eNoFolder, tMkdir, creatingFolder(c.to(link), "x"))
		c.want(ePerm, tLink, func(w *writer) { w.u32(top); w.u32(c.last); w.word("hard") })
		if _, e := c.walk(link, "letter"); e != eNoEntry {
			t.Errorf("through %s: %v", link, e)
		}
	}
	holds(t, outside, "letter", "dear\n")
}

// TestSwapped: what became a link between the look and the open is not opened.
func TestSwapped(t *testing.T) {
	dir := home(t)
	c, p := served(t, sandbox.Folder{Source: dir, Write: true})
	defer c.stat(top)
	at := p.current().top
	seen, err := at.visible("sub")
	must(t, err)
	must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "was")))
	must(t, os.Symlink("secret", filepath.Join(dir, "sub")))
	if f, err := at.enter("sub", seen); !errors.Is(err, eStale) {
		t.Errorf("%v, %v", f, err)
	}
}

// TestLongLists: a folder of many is listed whole, in whatever pieces.
func TestLongLists(t *testing.T) {
	dir := t.TempDir()
	want := []string{".", ".."}
	for i := range 3 * batch {
		name := fmt.Sprintf("file%04d", i)
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		want = append(want, name)
	}
	c, _ := served(t, sandbox.Folder{Source: dir})
	for _, count := range []uint32{100, 4096, 1 << 30} {
		got := c.names(count)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes at once: %d names of %d", count, len(got), len(want))
		}
	}
	number := c.to()
	c.must(tLopen, opening(number, 0))
	c.must(tReaddir, reading(number, 700, 4096))
	if r := c.must(tReaddir, reading(number, 0, 4096)); len(r.data()) == 0 { // seekdir
		t.Error("nothing after going back")
	}
	if r := c.must(tReaddir, reading(number, 1<<40, 4096)); len(r.data()) != 0 {
		t.Error("names beyond the end")
	}
}

// TestNonsense: what is no message ends the connection; what is one that makes no
// sense is an error.
func TestNonsense(t *testing.T) {
	for name, raw := range map[string][]byte{
		"too short":     {3, 0, 0, 0, tClunk, 1, 0},
		"too long":      {255, 255, 255, 255, tWrite, 1, 0},
		"bytes missing": {8, 0, 0, 0, tClunk, 1, 0, 1},
		"bytes left":    {12, 0, 0, 0, tClunk, 1, 0, 1, 0, 0, 0, 0},
	} {
		c, _ := served(t, sandbox.Folder{Source: home(t)})
		c.conn.Write(raw)
		c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: %d bytes came", name, n)
		}
	}
	c, _ := served(t, sandbox.Folder{Source: home(t), Write: true})
	letter := c.to("letter")
	c.want(eBadFile, tClunk, numbered(4711))
	c.want(eBadFile, tRead, reading(letter, 0, 10)) // not open
	c.want(eBadFile, tReaddir, reading(letter, 0, 10))
	c.want(eInvalid, tLopen, opening(letter, 3))
	c.want(eUnsupported, 99, func(*writer) {})
	c.want(eInvalid, tWalk, func(w *writer) { w.u32(top); w.u32(letter); w.u16(0) }) // taken
	c.must(tLopen, opening(letter, flagBoth))
	c.want(eBadFile, tLopen, opening(letter, 0))
	c.want(eInvalid, tRead, reading(letter, 1<<63, 1))
	c.want(eInvalid, tWrite, writing(letter, 1<<63, "x"))
	c.want(eTooBig, tSetAttr, setting(letter, setSize, 0, 0, 1<<63))
	if r := c.must(tRead, reading(letter, 0, 1<<31)); string(r.data()) != "dear\n" {
		t.Error("it reads something else")
	}
	e := errno(0)
	for range maxFiles + 1 {
		if _, e = c.call(tWalk, c.walking(top)); e != 0 {
			break
		}
	}
	if e != eManyFiles {
		t.Errorf("too many files: %v", e)
	}
}
