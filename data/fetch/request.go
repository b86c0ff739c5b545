package fetch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// Request is one exchange, and the JSON that a module writes.
type Request struct {
	Method  string            `json:"method,omitempty"` // GET if empty
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`       // as text …
	Base64  []byte            `json:"bodyBase64,omitempty"` // … or in base64
	Reason  string            `json:"reason,omitempty"`     // why, for the user
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return strings.ToUpper(r.Method)
}

func (r *Request) body() []byte {
	if r.Base64 != nil {
		return r.Base64
	}
	return []byte(r.Body)
}

func (r *Request) check() error {
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
		return ErrTooLarge
	case r.Body != "" && r.Base64 != nil:
		return fmt.Errorf("%w: two bodies", sandbox.ErrInvalid)
	case len(r.Reason) > data.MaxPurpose || !utf8.ValidString(r.Reason):
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

func (r *Request) build(ctx context.Context) (*http.Request, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: URL", sandbox.ErrInvalid)
	}
	if err := CanonicalURL(u); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method(), u.String(), bytes.NewReader(r.body()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "consentry")
	}
	return req, nil
}
