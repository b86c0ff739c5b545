package httpapi

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/consentry/consentry/data/fetch"
	"github.com/consentry/consentry/sandbox"
)

// toPath begins the address of a request that is sent on over TLS, with the
// values of secrets where the app wrote their handles into headers:
//
//	app ── http://10.0.2.2:9999/v1/to/api.example.com/v1/chat ──▶ https://api.example.com/v1/chat
//	       Authorization: Bearer consentry-…                      Authorization: Bearer s3cr3t
//
// It is what http_fetch is for a module. An app that spoke TLS itself would have
// to have the secret, and one whose TLS we opened would have to trust us with
// everything else.
const toPath = "/v1/to/"

// keyHeaders are where programs put a key that was given to them. A web page can
// set none of them without a preflight.
var keyHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// handleSaysSo: a program that knows an address and a key, and no header of ours,
// cannot be a web page either when the key is a handle. It must be one of these
// headers: what a page may set, or its address has in it, has any form.
func handleSaysSo(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, toPath) && slices.ContainsFunc(keyHeaders, func(name string) bool {
		return fetch.HasHandle(r.Header.Get(name))
	})
}

// maxSentOn bounds the body of such a request, in bytes.
const maxSentOn = 16 << 20

// sender sends on.
type sender struct {
	broker sandbox.Broker

	mu    sync.Mutex
	roots *x509.CertPool // nil: not fetched yet
}

// trusted are the certificates of the user's machine: a worker has no files.
func (s *sender) trusted(ctx context.Context) (*x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots != nil {
		return s.roots, nil
	}
	rooter, can := s.broker.(sandbox.Rooter)
	if !can {
		return nil, sandbox.ErrUnavailable
	}
	raw, err := rooter.Roots(ctx)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return nil, sandbox.ErrUnavailable
	}
	s.roots = roots
	return roots, nil
}

func (s *sender) serve(w http.ResponseWriter, r *http.Request) {
	target, err := targetOf(r)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	roots, err := s.trusted(r.Context())
	if err != nil {
		problemOf(err).write(w)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSentOn)
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = target, target.Host
			p.Out.Header.Del(RequestHeader)
		},
		Transport:      fetch.New(s.broker, roots).Transport(""),
		FlushInterval:  -1, // answers of language models come in pieces
		ModifyResponse: withoutLeave,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			sentOnProblem(err).write(w)
		},
	}
	proxy.ServeHTTP(w, r)
}

// targetOf is where a request goes: over TLS always, as secrets go nowhere else.
func targetOf(r *http.Request) (*url.URL, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), toPath), "/")
	target, err := url.Parse("https://" + host + "/" + path)
	if err != nil {
		return nil, sandbox.ErrInvalid
	}
	target.RawQuery = r.URL.RawQuery
	switch {
	case target.Host == "":
		return nil, sandbox.ErrInvalid
	case r.Header.Get("Upgrade") != "", r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		return nil, sandbox.ErrInvalid
	}
	return target, fetch.CanonicalURL(target)
}

// withoutLeave takes out what would let a web page read an answer, and keeps one
// that a browser would show from being of this API's origin, from where it could
// ask for anything.
func withoutLeave(resp *http.Response) error {
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			resp.Header.Del(name)
		}
	}
	resp.Header.Set("Content-Security-Policy", "sandbox")
	resp.Header.Set("X-Content-Type-Options", "nosniff")
	resp.Body = fetch.Bounded(resp.Body)
	return nil
}

// sentOnProblem tells a place that cannot be reached from a no.
func sentOnProblem(err error) problem {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem{invalid, "the body is larger than 16 MiB"}
	}
	for _, far := range []error{sandbox.ErrUnreachable, sandbox.ErrRefused, sandbox.ErrTimeout} {
		if errors.Is(err, far) {
			return problem{unreachable, far.Error()}
		}
	}
	p := problemOf(err)
	if p.code == unavailable.code && !errors.Is(err, sandbox.ErrUnavailable) {
		return problem{unreachable, "the exchange with the far end failed"} // TLS, or a cut
	}
	return p
}
