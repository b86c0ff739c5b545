package ninep

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// client is a guest's kernel, as far as it speaks.
type client struct {
	t    testing.TB
	conn net.Conn
	tag  uint16
	last uint32 // number of a file
}

const top = 1

var app = Owner{UID: 70000, GID: 70001}

// dial connects a client with a place, and attaches it.
func dial(t testing.TB, p *Place) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, theirs) }()
	c := &client{t: t, conn: ours, last: top}
	t.Cleanup(func() {
		ours.Close()
		cancel()
		select {
		case <-served:
		case <-time.After(10 * time.Second):
			t.Error("it still serves")
		}
	})
	r := c.must(tVersion, func(w *writer) { w.u32(MaxMessage); w.word(version) })
	if size, name := r.u32(), r.word(); size != MaxMessage || name != version {
		t.Fatalf("%d, %q", size, name)
	}
	c.must(tAttach, func(w *writer) { w.u32(top); w.u32(noFile); w.word("app"); w.word(""); w.u32(0) })
	return c
}

// send sends a request and returns its tag.
func (c *client) send(kind byte, fill func(*writer)) uint16 {
	c.t.Helper()
	c.tag++
	w := newAnswer(kind, c.tag)
	fill(w)
	if _, err := c.conn.Write(w.bytes()); err != nil {
		c.t.Fatal(err)
	}
	return c.tag
}

// receive is the next answer.
func (c *client) receive() (tag uint16, kind byte, r *reader) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	m, err := readRequest(c.conn, MaxMessage)
	if err != nil {
		c.t.Fatal(err)
	}
	return m.tag, m.kind, &m.in
}

// call sends a request and waits for its answer.
func (c *client) call(kind byte, fill func(*writer)) (*reader, errno) {
	c.t.Helper()
	tag := c.send(kind, fill)
	got, answer, r := c.receive()
	switch {
	case got != tag:
		c.t.Fatalf("an answer to %d, want one to %d", got, tag)
	case answer == tLerror+answerOffset:
		return nil, errno(r.u32())
	case answer != kind+answerOffset:
		c.t.Fatalf("answer %d to request %d", answer, kind)
	}
	return r, 0
}

func (c *client) must(kind byte, fill func(*writer)) *reader {
	c.t.Helper()
	r, e := c.call(kind, fill)
	if e != 0 {
		c.t.Fatalf("request %d: %v", kind, e)
	}
	return r
}

func (c *client) want(e errno, kind byte, fill func(*writer)) {
	c.t.Helper()
	if _, got := c.call(kind, fill); got != e {
		c.t.Errorf("request %d: %v, want %v", kind, got, e)
	}
}

// walking fills in a walk to a new number.
func (c *client) walking(from uint32, names ...string) func(*writer) {
	c.last++
	to := c.last
	return func(w *writer) {
		w.u32(from)
		w.u32(to)
		w.u16(uint16(len(names)))
		for _, name := range names {
			w.word(name)
		}
	}
}

// walk is the number of what lies at names, or the error of the first step.
func (c *client) walk(names ...string) (uint32, errno) {
	c.t.Helper()
	r, e := c.call(tWalk, c.walking(top, names...))
	if e == 0 && int(r.u16()) < len(names) {
		e = eNoEntry
	}
	return c.last, e
}

func (c *client) to(names ...string) uint32 {
	c.t.Helper()
	number, e := c.walk(names...)
	if e != 0 {
		c.t.Fatalf("walk to %v: %v", names, e)
	}
	return number
}

func opening(number, flags uint32) func(*writer) {
	return func(w *writer) { w.u32(number); w.u32(flags) }
}

func reading(number uint32, offset uint64, count uint32) func(*writer) {
	return func(w *writer) { w.u32(number); w.u64(offset); w.u32(count) }
}

func writing(number uint32, offset uint64, text string) func(*writer) {
	return func(w *writer) { w.u32(number); w.u64(offset); w.u32(uint32(len(text))); w.b = append(w.b, text...) }
}

func numbered(number uint32) func(*writer) { return func(w *writer) { w.u32(number) } }

func creating(number uint32, name string, flags, mode uint32) func(*writer) {
	return func(w *writer) { w.u32(number); w.word(name); w.u32(flags); w.u32(mode); w.u32(0) }
}

func unlinking(number uint32, name string, flags uint32) func(*writer) {
	return func(w *writer) { w.u32(number); w.word(name); w.u32(flags) }
}

func renaming(from uint32, old string, to uint32, name string) func(*writer) {
	return func(w *writer) { w.u32(from); w.word(old); w.u32(to); w.word(name) }
}

// setting fills in a change of mode, owner or size.
func setting(number, what, mode, uid uint32, size uint64) func(*writer) {
	return func(w *writer) {
		w.u32(number)
		w.u32(what)
		w.u32(mode)
		w.u32(uid)
		w.u32(uid)
		w.u64(size)
		for range 4 {
			w.u64(1)
		}
	}
}

// text reads a whole small file.
func (c *client) text(names ...string) (string, errno) {
	c.t.Helper()
	number, e := c.walk(names...)
	if e != 0 {
		return "", e
	}
	if _, e := c.call(tLopen, opening(number, 0)); e != 0 {
		return "", e
	}
	r, e := c.call(tRead, reading(number, 0, 4096))
	if e != 0 {
		return "", e
	}
	return string(r.data()), 0
}

// names lists a folder.
func (c *client) names(count uint32, path ...string) (names []string) {
	c.t.Helper()
	c.must(tWalk, c.walking(top, path...))
	number := c.last
	c.must(tLopen, opening(number, 0))
	for offset := uint64(0); ; {
		r := reader{rest: c.must(tReaddir, reading(number, offset, count)).data()}
		if len(r.rest) == 0 {
			return names
		}
		for len(r.rest) > 0 {
			r.take(qidLen)
			offset = r.u64()
			r.u8()
			names = append(names, r.word())
		}
	}
}

// stat is mode, owner and size.
func (c *client) stat(number uint32) (mode, uid uint32, size uint64) {
	c.t.Helper()
	r := c.must(tGetAttr, func(w *writer) { w.u32(number); w.u64(basic) })
	r.u64()
	r.take(qidLen)
	mode, uid = r.u32(), r.u32()
	r.u32()
	r.u64()
	r.u64()
	return mode, uid, r.u64()
}

// home is a folder with a letter and one below.
func home(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"letter": "dear\n", "sub/deep": "down\n", "secret/key": "hush\n"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// served is a client of a folder that was given.
func served(t testing.TB, f sandbox.Folder) (*client, *Place) {
	t.Helper()
	p := NewPlace(app, nil)
	must(t, p.Give(f))
	return dial(t, p), p
}
