package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds on talking to a registry.
const (
	maxReply     = 16 << 20 // bytes of any reply that is no blob
	maxTries     = 5
	firstWait    = 500 * time.Millisecond
	maxWait      = 30 * time.Second // one wait; a registry that asks for more is given up
	maxRedirects = 10
)

// guard is the round tripper below the library's. It keeps what the library
// does not promise: plain HTTP never leaves the machine (the library also takes
// *.local, private addresses and any name with 127.0.0.1 in it for local),
// replies are bounded, and "later" is heeded.
type guard struct {
	inner    http.RoundTripper
	loopback bool // the registry itself is on this machine
	wait     func(context.Context, time.Duration) error
}

var errPlainHTTP = errors.New("plain HTTP is only spoken to registries on this machine; give the registry a TLS certificate")

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.check(req); err != nil {
		return nil, err
	}
	delay := firstWait
	for try := 1; ; try++ {
		resp, err := g.inner.RoundTrip(req)
		if err != nil {
			if !broke(err) || req.Method != http.MethodGet || try == maxTries {
				return nil, err
			}
			if err := g.wait(req.Context(), delay); err != nil {
				return nil, err
			}
			delay *= 2
			continue
		}
		if !isBlob(req) {
			resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxReply}
		}
		after, again := retryAfter(resp, delay)
		if !again || try == maxTries || req.Body != nil && req.GetBody == nil {
			return resp, nil
		}
		if err := g.wait(req.Context(), after); err != nil {
			return nil, errors.Join(err, resp.Body.Close())
		}
		if err := rewind(req, resp); err != nil {
			return nil, err
		}
		delay *= 2
	}
}

// check refuses plain HTTP except from and to this machine, so that no
// registry elsewhere can redirect the agent to a service on this one either.
func (g *guard) check(req *http.Request) error {
	switch req.URL.Scheme {
	case "https":
		return nil
	case "http":
		if g.loopback && isLoopback(req.URL.Host) {
			return nil
		}
	}
	return fmt.Errorf("%s://%s: %w", req.URL.Scheme, req.URL.Host, errPlainHTTP)
}

// broke tells a connection that ended in the middle, which another try may
// mend, from one that cannot be made.
func broke(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func rewind(req *http.Request, resp *http.Response) error {
	err := resp.Body.Close()
	if req.GetBody != nil {
		body, bodyErr := req.GetBody()
		req.Body = body
		err = errors.Join(err, bodyErr)
	}
	return err
}

// isLoopback knows the names of this machine: localhost, 127.0.0.1, ::1.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// isBlob tells whether req, or the request that was redirected to it, asks for a blob.
func isBlob(req *http.Request) bool {
	for range maxRedirects {
		if req.Response == nil || req.Response.Request == nil {
			break
		}
		req = req.Response.Request
	}
	return req.Method == http.MethodGet && strings.HasPrefix(req.URL.Path, "/v2/") && strings.Contains(req.URL.Path, "/blobs/sha256:")
}

// retryAfter tells whether and when to ask again: what the registry asked for,
// else delay.
func retryAfter(resp *http.Response, delay time.Duration) (time.Duration, bool) {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	asked := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(asked, 10, 32); err == nil && seconds >= 0 {
		delay = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(asked); err == nil {
		delay = max(0, time.Until(at))
	}
	return delay, delay <= maxWait
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// boundedBody fails a reply that is longer than any honest one.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the registry's answer is longer than %d bytes", maxReply)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
