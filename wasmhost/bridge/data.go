package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/data/lease"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/abi"
)

// Bounds of a data request.
const (
	maxKind        = 64       // bytes
	maxDataRequest = 16 << 10 // bytes of JSON
	maxDataReply   = 16 << 20 // bytes of JSON
	maxRetained    = 64       // answers
)

// keepTime is how long an answer waits for a larger buffer. It is short, as a
// grant may be taken back meanwhile.
const keepTime = 5 * time.Second

// kept is an answer that did not fit.
type kept struct {
	purpose string
	value   string
	until   time.Time
}

// takeKept returns the kept answer if it is to this question, and forgets it
// in any case.
func (b *Bridge) takeKept(purpose string) (string, bool) {
	k := b.kept
	b.kept = kept{}
	return k.value, k.purpose == purpose && b.now().Before(k.until)
}

// retained is an answer that the same question gets again without a call to the
// agent, for as long as its lease.
type retained struct {
	lease *lease.Held
	text  []byte
}

// again returns the retained answer to the question in parts.
func (b *Bridge) again(parts ...[]byte) ([]byte, bool) {
	b.key = b.key[:0]
	for _, part := range parts {
		b.key = append(b.key, part...)
		b.key = append(b.key, 0)
	}
	r, has := b.retained[string(b.key)]
	if !has {
		return nil, false
	}
	if !r.lease.Use() {
		delete(b.retained, string(b.key))
		return nil, false
	}
	return r.text, true
}

// retain keeps an answer to the question that was last looked for with again.
// One that was given once is for this call only.
func (b *Bridge) retain(reply sandbox.DataReply, text []byte) {
	if reply.Grant == "" {
		return
	}
	if len(b.retained) >= maxRetained {
		b.releaseAll()
	}
	if h := b.book.Hold(reply, nil); h != nil {
		b.retained[string(b.key)] = retained{h, text}
	}
}

func (b *Bridge) releaseAll() {
	for _, r := range b.retained {
		r.lease.Release()
	}
	clear(b.retained)
}

// requestUserEmail: reason, reason_len, buf, buf_len, len_out.
func (b *Bridge) requestUserEmail(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > MaxReason || !validReason(c.Str(0)) {
		return abi.EINVAL
	}
	// Bad pointers fail before the user is asked.
	buf, size, out := c.U32(2), c.U32(3), c.U32(4)
	c.Mem.Bytes(buf, size)
	c.Mem.PutUint32(out, 0)
	purpose := c.Str(0)
	email, answered := b.takeKept(purpose)
	if !answered {
		var errno abi.Errno
		if email, errno = b.askEmail(ctx, purpose); errno != abi.OK {
			return errno
		}
	}
	errno := putText(c, email, buf, size, out)
	if errno == abi.ENOBUFS {
		b.kept = kept{purpose: purpose, value: email, until: b.now().Add(keepTime)}
	}
	return errno
}

// askEmail gives EACCES when the user said yes but withheld the address.
func (b *Bridge) askEmail(ctx context.Context, purpose string) (string, abi.Errno) {
	if email, has := b.again(emailKey, []byte(purpose)); has {
		return string(email), abi.OK
	}
	reply, err := b.broker.Open(ctx, sandbox.DataRequest{Kind: data.Identity, Fields: []string{"email"}, Purpose: purpose, Retain: true})
	if err != nil {
		return "", errnoOf(err)
	}
	email, ok := reply.Values["email"].(string)
	if !ok || email == "" {
		return "", abi.EACCES
	}
	b.retain(reply, []byte(email))
	return email, abi.OK
}

// emailKey is no kind: what is retained for it is no JSON.
var emailKey = []byte("request_user_email")

// dataAnswer is the JSON that is read from the handle.
type dataAnswer struct {
	Grant    string           `json:"grant,omitempty"`
	Values   map[string]any   `json:"values"`
	Records  []map[string]any `json:"records,omitempty"`
	Withheld []string         `json:"withheld,omitempty"`
}

// request: kind, kind_len, json, json_len, handle_out.
func (b *Bridge) request(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > maxKind || c.U32(3) > maxDataRequest {
		return abi.EINVAL
	}
	c.Mem.PutUint32(c.U32(4), 0)
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	b.kept = kept{}
	text, errno := b.ask(ctx, c.Mem.Bytes(c.U32(0), c.U32(1)), c.Mem.Bytes(c.U32(2), c.U32(3)))
	if errno == abi.OK {
		c.Mem.PutUint32(c.U32(4), b.add(&handle{body: io.NopCloser(bytes.NewReader(text))}))
	}
	return errno
}

func (b *Bridge) ask(ctx context.Context, kind, question []byte) ([]byte, abi.Errno) {
	if text, has := b.again(kind, question); has {
		return text, abi.OK
	}
	req, err := data.DecodeItem(string(kind), question)
	if err != nil {
		return nil, errnoOf(err)
	}
	reply, err := b.broker.Open(ctx, req)
	if err != nil {
		return nil, errnoOf(err)
	}
	text, err := json.Marshal(dataAnswer{Grant: reply.Grant, Values: reply.Values, Records: reply.Records, Withheld: reply.Withheld})
	if err != nil {
		return nil, abi.EIO
	}
	if len(text) > maxDataReply {
		return nil, abi.EFBIG
	}
	if req.Retain {
		b.retain(reply, text)
	}
	return text, abi.OK
}

// kinds: handle_out. It reads {"kinds":[…]}, as GET /v1/kinds of the data API.
func (b *Bridge) kinds(_ context.Context, c abi.Call) abi.Errno {
	return b.list(c, map[string]any{"kinds": data.Kinds()})
}

// grants: handle_out. It reads {"grants":[…]}.
func (b *Bridge) grants(ctx context.Context, c abi.Call) abi.Errno {
	c.Mem.PutUint32(c.U32(0), 0)
	giver, can := b.broker.(sandbox.Giver)
	if !can {
		return abi.EIO
	}
	given, err := giver.Given(ctx)
	if err != nil {
		return errnoOf(err)
	}
	return b.list(c, map[string]any{"grants": append([]sandbox.GivenData{}, given...)})
}

func (b *Bridge) list(c abi.Call, of map[string]any) abi.Errno {
	c.Mem.PutUint32(c.U32(0), 0)
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	text, err := json.Marshal(of)
	if err != nil {
		return abi.EIO
	}
	c.Mem.PutUint32(c.U32(0), b.add(&handle{body: io.NopCloser(bytes.NewReader(text))}))
	return abi.OK
}

// giveBack: grant, grant_len.
func (b *Bridge) giveBack(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > maxGrant {
		return abi.EINVAL
	}
	giver, can := b.broker.(sandbox.Giver)
	if !can {
		return abi.EIO
	}
	return errnoOf(giver.GiveBack(ctx, c.Str(0)))
}

const maxGrant = 128 // bytes

// fileOpen: file, file_len, handle_out. The file is the value of a field
// "content"; it is read with read.
func (b *Bridge) fileOpen(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > maxFile {
		return abi.EINVAL
	}
	c.Mem.PutUint32(c.U32(2), 0)
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	reader, can := b.broker.(sandbox.PieceReader)
	if !can {
		return abi.EIO
	}
	f := &pieces{ctx: ctx, from: reader, file: c.Str(0)}
	if _, err := reader.Piece(ctx, sandbox.FilePiece{Handle: f.file}); err != nil {
		return errnoOf(err)
	}
	c.Mem.PutUint32(c.U32(2), b.add(&handle{body: f}))
	return abi.OK
}

const maxFile = 128 // bytes

// pieces reads a file from its beginning to its end.
type pieces struct {
	ctx  context.Context
	from sandbox.PieceReader
	file string
	at   int64
}

func (p *pieces) Read(buf []byte) (int, error) {
	got, err := p.from.Piece(p.ctx, sandbox.FilePiece{Handle: p.file, Offset: p.at, Length: min(len(buf), sandbox.MaxPiece)})
	if err != nil {
		return 0, err
	}
	if len(got.Data) == 0 || len(got.Data) > len(buf) {
		return 0, io.EOF
	}
	p.at += int64(len(got.Data))
	return copy(buf, got.Data), nil
}

func (*pieces) Close() error { return nil }
