package bridge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/abi"
)

// httpRequest is the JSON that http_fetch takes.
type httpRequest struct {
	Method  string            `json:"method,omitempty"` // GET if empty
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`       // as text …
	Base64  []byte            `json:"bodyBase64,omitempty"` // … or in base64
	Reason  string            `json:"reason,omitempty"`     // why, for the user
}

func (r *httpRequest) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return strings.ToUpper(r.Method)
}

func (r *httpRequest) body() []byte {
	if r.Base64 != nil {
		return r.Base64
	}
	return []byte(r.Body)
}

func (r *httpRequest) check() error {
	size := 0
	for name, value := range r.Headers {
		size += len(name) + len(value)
		if forbidden(name) {
			return fmt.Errorf("%w: header %s is not the app's to set", sandbox.ErrInvalid, name)
		}
	}
	switch {
	case len(r.URL) > maxURL, len(r.Headers) > maxHeaders, size > maxHeaderBytes:
		return fmt.Errorf("%w: request is too large", sandbox.ErrInvalid)
	case len(r.body()) > maxRequestBody:
		return errTooLarge
	case r.Body != "" && r.Base64 != nil:
		return fmt.Errorf("%w: two bodies", sandbox.ErrInvalid)
	case len(r.Reason) > MaxReason || !utf8.ValidString(r.Reason):
		return fmt.Errorf("%w: reason", sandbox.ErrInvalid)
	case r.method() == http.MethodConnect, r.method() == http.MethodTrace:
		return fmt.Errorf("%w: method %s", sandbox.ErrInvalid, r.method())
	}
	return nil
}

// forbidden headers would make the request go elsewhere than the user was
// asked about, or upset its framing.
func forbidden(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Connection", "Content-Length", "Expect", "Keep-Alive", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Via":
		return true
	}
	return strings.HasPrefix(http.CanonicalHeaderKey(name), "Proxy-")
}

// response is the head of an HTTP answer.
type response struct {
	status uint32
	header http.Header
}

// Fetch makes an HTTP request for another ABI, with the same questions, bounds
// and verdicts. ctx bounds the body of the answer as well.
func (b *Bridge) Fetch(ctx context.Context, method, url string, headers map[string]string, body []byte) (*http.Response, error) {
	return b.http.fetch(ctx, &httpRequest{Method: method, URL: url, Headers: headers, Base64: body})
}

// httpFetch: request, request_len, handle_out.
func (b *Bridge) httpFetch(ctx context.Context, c abi.Call) abi.Errno {
	if c.U32(1) > maxRequest {
		return abi.EFBIG
	}
	c.Mem.PutUint32(c.U32(2), 0)
	var r httpRequest
	if data.Decode(bytes.NewReader(c.Mem.Bytes(c.U32(0), c.U32(1))), &r) != nil {
		return abi.EINVAL
	}
	if len(b.handles) >= MaxHandles {
		return abi.EMFILE
	}
	resp, err := b.http.fetch(ctx, &r)
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
	if c.U32(2) > maxReplyHeaders {
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
