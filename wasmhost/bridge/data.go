package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/abi"
)

// Bounds of a data request.
const (
	maxKind        = 64       // bytes
	maxDataRequest = 16 << 10 // bytes of JSON
	maxDataReply   = 16 << 20 // bytes of JSON
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
	reply, err := b.broker.Open(ctx, sandbox.DataRequest{Kind: "identity", Fields: []string{"email"}, Purpose: purpose})
	if err != nil {
		return "", errnoOf(err)
	}
	email, ok := reply.Values["email"].(string)
	if !ok || email == "" {
		return "", abi.EACCES
	}
	return email, abi.OK
}

// dataQuestion is the JSON of a request.
type dataQuestion struct {
	Fields  []string `json:"fields"`
	Purpose string   `json:"purpose"`
}

// dataAnswer is the JSON that is read from the handle.
type dataAnswer struct {
	Values   map[string]any `json:"values"`
	Withheld []string       `json:"withheld,omitempty"`
}

// request: kind, kind_len, json, json_len, handle_out.
func (b *Bridge) request(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > maxKind || c.U32(3) > maxDataRequest {
		return abi.EINVAL
	}
	c.Mem.PutUint32(c.U32(4), 0)
	var q dataQuestion
	if decodeStrict(c.Mem.Bytes(c.U32(2), c.U32(3)), &q) != nil || !validReason(q.Purpose) {
		return abi.EINVAL
	}
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	b.kept = kept{}
	reply, err := b.broker.Open(ctx, sandbox.DataRequest{Kind: c.Str(0), Fields: q.Fields, Purpose: q.Purpose})
	if err != nil {
		return errnoOf(err)
	}
	text, err := json.Marshal(dataAnswer{Values: reply.Values, Withheld: reply.Withheld})
	if err != nil {
		return abi.EIO
	}
	if len(text) > maxDataReply {
		return abi.EFBIG
	}
	c.Mem.PutUint32(c.U32(4), b.add(&handle{body: io.NopCloser(bytes.NewReader(text))}))
	return abi.OK
}

// decodeStrict takes one JSON value without members that nobody reads.
func decodeStrict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return sandbox.ErrInvalid
	}
	return nil
}
