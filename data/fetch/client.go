package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of an HTTP exchange.
const (
	MaxRequest       = 24 << 20  // bytes of JSON
	maxRequestBody   = 16 << 20  // bytes
	maxURL           = 8 << 10   // bytes
	maxHeaders       = 100       // in a request
	maxHeaderBytes   = 64 << 10  // of a request
	MaxReplyHeaders  = 256 << 10 // bytes
	maxReplyBody     = 1 << 30   // bytes
	maxRedirects     = 10
	handshakeTimeout = 30 * time.Second
	headerTimeout    = 5 * time.Minute // slow answers of language models
)

var (
	ErrTooLarge  = errors.New("answer is too large")
	ErrRedirects = errors.New("too many redirects")
)

// Client makes requests over connections of the Broker.
type Client struct {
	broker sandbox.Broker
	roots  *x509.CertPool // nil: the system's
}

func New(broker sandbox.Broker, roots *x509.CertPool) Client {
	return Client{broker: broker, roots: roots}
}

// Do sends r and follows redirects. ctx bounds the body as well.
func (h Client) Do(ctx context.Context, r *Request) (*http.Response, error) {
	req, err := r.build(ctx)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: h.Transport(r.Reason), CheckRedirect: checkRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body = Bounded(resp.Body)
	return resp, nil
}

// Transport is made for one exchange: its connections carry its reason. There is
// no HTTP/2, which would share a connection between exchanges. Handles of
// secrets in headers are replaced on the way to their place.
func (h Client) Transport(reason string) http.RoundTripper {
	return revealing{h.transport(reason), h.broker}
}

func (h Client) transport(reason string) *http.Transport {
	return &http.Transport{
		Proxy: nil, // not the environment's
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return h.dial(ctx, addr, reason)
		},
		TLSClientConfig:        &tls.Config{RootCAs: h.roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: MaxReplyHeaders,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the guest gets what was sent; nothing swells here
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

func (h Client) dial(ctx context.Context, addr, reason string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%w: port %q", sandbox.ErrInvalid, portText)
	}
	return h.broker.Dial(ctx, sandbox.Flow{Network: "tcp", Host: host, Port: uint16(port), Reason: reason})
}

// checkRedirect prepares the next hop. Go has copied the headers by now, and
// kept credentials for names below the first one; we send them only to the
// very same origin.
func checkRedirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return ErrRedirects
	}
	if err := CanonicalURL(next.URL); err != nil {
		return err
	}
	next.Host = ""
	next.Header.Del("Referer") // it may hold what the app put into its URL
	if origin(next.URL) != origin(before[0].URL) {
		for name := range next.Header {
			if !harmless[name] {
				next.Header.Del(name)
			}
		}
	}
	return nil
}

// harmless headers go along to another origin; an app's own may be keys.
var harmless = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Content-Type": true,
	"If-Modified-Since": true, "If-None-Match": true, "Range": true, "User-Agent": true,
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// CanonicalURL checks u and writes its host in the form that the user is asked
// about, which is then also what is dialled, verified and sent as Host.
func CanonicalURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%w: scheme %q", sandbox.ErrInvalid, u.Scheme)
	}
	if u.User != nil || u.Opaque != "" {
		return fmt.Errorf("%w: URL with a user name or without a host", sandbox.ErrInvalid)
	}
	host, err := sandbox.CanonicalHost(u.Hostname())
	if err != nil {
		return err
	}
	port := u.Port()
	if port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		port = ""
	}
	switch {
	case port != "":
		u.Host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		u.Host = "[" + host + "]"
	default:
		u.Host = host
	}
	u.Fragment = ""
	return nil
}

// Bounded is a body that fails when it is longer than an answer may be.
func Bounded(body io.ReadCloser) io.ReadCloser {
	return &boundedBody{ReadCloser: body, left: maxReplyBody}
}

// boundedBody fails when the answer is longer than it may be.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// The end may be right here.
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 && err != nil {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
