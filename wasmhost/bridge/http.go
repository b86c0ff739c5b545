package bridge

import (
	"bytes"
	"context"
	"net/http"
	"sort"
	"strings"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/data/fetch"
	"github.com/consentry/consentry/wasmhost/abi"
)

// response is the head of an HTTP answer.
type response struct {
	status uint32
	header http.Header
}

// Fetch makes an HTTP request for another ABI, with the same questions, bounds
// and verdicts. ctx bounds the body of the answer as well.
func (b *Bridge) Fetch(ctx context.Context, method, url string, headers map[string]string, body []byte) (*http.Response, error) {
	return b.http.Do(ctx, &fetch.Request{Method: method, URL: url, Headers: headers, Base64: body})
}

// httpFetch: request, request_len, handle_out.
func (b *Bridge) httpFetch(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > fetch.MaxRequest {
		return abi.EFBIG
	}
	c.Mem.PutUint32(c.U32(2), 0)
	var r fetch.Request
	if data.Decode(bytes.NewReader(c.Mem.Bytes(c.U32(0), c.U32(1))), &r) != nil {
		return abi.EINVAL
	}
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	resp, err := b.http.Do(ctx, &r)
	if err != nil {
		return errnoOf(err)
	}
	h := &handle{body: resp.Body, response: &response{status: uint32(resp.StatusCode), header: resp.Header}}
	c.Mem.PutUint32(c.U32(2), b.add(h))
	return abi.OK
}

// answer returns the head of an HTTP handle.
func (b *Bridge) answer(fd uint32) (*response, abi.Errno) {
	h := b.handles[fd]
	switch {
	case h == nil:
		return nil, abi.EBADF
	case h.response == nil:
		return nil, abi.EINVAL
	}
	return h.response, abi.OK
}

// httpStatus: handle, status_out.
func (b *Bridge) httpStatus(_ context.Context, c abi.Call) abi.Errno {
	r, errno := b.answer(c.U32(0))
	if errno == abi.OK {
		c.Mem.PutUint32(c.U32(1), r.status)
	}
	return errno
}

// httpHeader: handle, name, name_len, buf, buf_len, len_out. Several values
// come joined by ", ".
func (b *Bridge) httpHeader(_ context.Context, c abi.Call) abi.Errno {
	r, errno := b.answer(c.U32(0))
	if errno != abi.OK {
		return errno
	}
	if c.U32(2) > fetch.MaxReplyHeaders {
		return abi.EINVAL
	}
	values := r.header.Values(c.Str(1))
	if len(values) == 0 {
		return abi.ENOENT
	}
	return putText(c, strings.Join(values, ", "), c.U32(3), c.U32(4), c.U32(5))
}

// httpHeaders: handle, buf, buf_len, len_out. All headers as "Name: value\r\n"
// lines, sorted by name.
func (b *Bridge) httpHeaders(_ context.Context, c abi.Call) abi.Errno {
	r, errno := b.answer(c.U32(0))
	if errno != abi.OK {
		return errno
	}
	names := make([]string, 0, len(r.header))
	for name := range r.header {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	for _, name := range names {
		for _, value := range r.header[name] {
			text.WriteString(name + ": " + value + "\r\n")
		}
	}
	return putText(c, text.String(), c.U32(1), c.U32(2), c.U32(3))
}
