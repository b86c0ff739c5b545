package bridge

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"

	"github.com/consentry/consentry/data/fetch"
	"github.com/consentry/consentry/data/lease"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/abi"
)

// ModuleName is the module that guests import.
const ModuleName = "consentry"

// Bounds.
const (
	MaxHandles = 64  // open at once
	MaxReason  = 500 // bytes
)

// Bridge answers one guest. Its methods run on the guest's goroutine.
type Bridge struct {
	broker  sandbox.Broker
	http    fetch.Client
	handles map[uint32]*handle
	last    uint32 // handle given out last
	kept    kept
	now     func() time.Time

	book     *lease.Book
	retained map[string]retained // by question
	key      []byte              // of the question that was looked for last
}

// handle is an open answer.
type handle struct {
	body     io.ReadCloser
	response *response // of HTTP, nil for data
}

// New returns a Bridge that asks broker.
func New(broker sandbox.Broker) *Bridge {
	return &Bridge{
		broker: broker, http: fetch.New(broker, nil),
		handles: map[uint32]*handle{}, now: time.Now, book: lease.New(broker), retained: map[string]retained{},
	}
}

// Close closes every handle. The guest must have ended.
func (b *Bridge) Close() {
	for _, h := range b.handles {
		h.body.Close()
	}
	b.handles = nil
	b.kept = kept{}
	b.book.Close()
	b.retained = nil
}

func (b *Bridge) functions() []abi.Func {
	return []abi.Func{
		{Name: "request_user_email", Params: "iiiii", Run: b.requestUserEmail},
		{Name: "request", Params: "iiiii", Run: b.request},
		{Name: "file_open", Params: "iii", Run: b.fileOpen},
		{Name: "kinds", Params: "i", Run: b.kinds},
		{Name: "grants", Params: "i", Run: b.grants},
		{Name: "give_back", Params: "ii", Run: b.giveBack},
		{Name: "http_fetch", Params: "iii", Run: b.httpFetch},
		{Name: "http_status", Params: "ii", Run: b.httpStatus},
		{Name: "http_header", Params: "iiiiii", Run: b.httpHeader},
		{Name: "http_headers", Params: "iiii", Run: b.httpHeaders},
		{Name: "http_read", Params: "iiii", Run: b.read},
		{Name: "http_close", Params: "i", Run: b.close},
		{Name: "read", Params: "iiii", Run: b.read},
		{Name: "close", Params: "i", Run: b.close},
	}
}

// Offers tells whether the module has a function of that name.
func Offers(name string) bool {
	for _, f := range (*Bridge)(nil).functions() {
		if f.Name == name {
			return true
		}
	}
	return false
}

// Instantiate makes those functions of b available to the modules of engine
// that names has.
func Instantiate(ctx context.Context, engine wazero.Runtime, b *Bridge, names []string) error {
	builder := engine.NewHostModuleBuilder(ModuleName)
	abi.Export(builder, b.functions(), names)
	_, err := builder.Instantiate(ctx)
	return err
}

// add gives h a number that was not in use lately.
func (b *Bridge) add(h *handle) uint32 {
	for {
		b.last++
		if b.last != 0 && b.handles[b.last] == nil {
			b.handles[b.last] = h
			return b.last
		}
	}
}

// read fills a buffer: handle, buf, len, nread_out. Zero bytes are the end.
func (b *Bridge) read(_ context.Context, c abi.Call) abi.Errno {
	h := b.handles[c.U32(0)]
	if h == nil {
		return abi.EBADF
	}
	c.Mem.PutUint32(c.U32(3), 0)
	buf := c.Mem.Bytes(c.U32(1), c.U32(2))
	if len(buf) == 0 {
		return abi.OK
	}
	n, err := h.body.Read(buf)
	for n == 0 && err == nil {
		n, err = h.body.Read(buf)
	}
	if n == 0 && !errors.Is(err, io.EOF) {
		return errnoOf(err)
	}
	c.Mem.PutUint32(c.U32(3), uint32(n))
	return abi.OK
}

func (b *Bridge) close(_ context.Context, c abi.Call) abi.Errno {
	h := b.handles[c.U32(0)]
	if h == nil {
		return abi.EBADF
	}
	delete(b.handles, c.U32(0))
	h.body.Close()
	return abi.OK
}

// putText writes text to the buffer at buf and its length to out. If the
// buffer is too short only the length is written.
func putText(c abi.Call, text string, buf, size, out uint32) abi.Errno {
	c.Mem.PutUint32(out, uint32(len(text)))
	if uint32(len(text)) > size {
		return abi.ENOBUFS
	}
	copy(c.Mem.Bytes(buf, uint32(len(text))), text)
	return abi.OK
}

// validReason accepts what can be shown to the user; it is cleaned there.
func validReason(text string) bool {
	return strings.TrimSpace(text) != "" && len(text) <= MaxReason && utf8.ValidString(text)
}

// errnoOf turns an error of the Broker into the guest's number. The text stays
// here: it may name addresses that the guest has no business to know.
func errnoOf(err error) abi.Errno {
	table := []struct {
		err   error
		errno abi.Errno
	}{
		{sandbox.ErrDenied, abi.EACCES},
		{sandbox.ErrBlocked, abi.EACCES},
		{sandbox.ErrUndeclared, abi.EACCES},
		{sandbox.ErrNothing, abi.ENOENT},
		{sandbox.ErrHeld, abi.EAGAIN},
		{sandbox.ErrBusy, abi.EAGAIN},
		{sandbox.ErrInvalid, abi.EINVAL},
		{sandbox.ErrUnknownKind, abi.ENOTSUP},
		{sandbox.ErrUnreachable, abi.EHOSTUNREACH},
		{sandbox.ErrRefused, abi.EHOSTUNREACH},
		{sandbox.ErrTimeout, abi.EHOSTUNREACH},
		{fetch.ErrTooLarge, abi.EFBIG},
		{fetch.ErrRedirects, abi.ELOOP},
		{context.DeadlineExceeded, abi.ETIMEDOUT},
		{context.Canceled, abi.ECANCELED},
	}
	if err == nil {
		return abi.OK
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	return abi.EIO
}
