package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// dialer allows the hosts in its table and connects to loopback.
type dialer struct {
	allowed map[string]bool
	asked   []string
}

func (d *dialer) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	d.asked = append(d.asked, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	if !d.allowed[f.Host] {
		return nil, sandbox.ErrDenied
	}
	var n net.Dialer
	return n.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.Port))))
}

func (*dialer) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}

func (*dialer) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func portOf(t *testing.T, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// What the app sends to one origin does not go to another.
func TestRedirectDropsSecrets(t *testing.T) {
	var got http.Header
	second := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	defer second.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		http.Redirect(w, r, "http://sub.one.test:"+portOf(t, second)+"/", http.StatusFound)
	}))
	defer first.Close()
	d := &dialer{allowed: map[string]bool{"one.test": true, "sub.one.test": true}}
	resp, err := New(d, nil).Do(t.Context(), &Request{
		URL:     "http://one.test:" + portOf(t, first) + "/?secret=1",
		Headers: map[string]string{"Authorization": "Bearer x", "X-Api-Key": "y", "Cookie": "a=b", "Accept": "text/plain"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "Referer"} {
		if v := got.Get(name); v != "" {
			t.Errorf("second origin got %s: %s", name, v)
		}
	}
	if got.Get("Accept") != "text/plain" {
		t.Error("second origin did not get Accept")
	}
}

// No connection is used twice: each request, and each hop of a redirect even
// to the same host, is a flow with its own verdict.
func TestEveryRequestDials(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/next", http.StatusFound)
		}
		fmt.Fprint(w, "x")
	}))
	defer server.Close()
	d := &dialer{allowed: map[string]bool{"one.test": true}}
	client := New(d, nil)
	for range 3 {
		resp, err := client.Do(t.Context(), &Request{URL: "http://one.test:" + portOf(t, server)})
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if len(d.asked) != 6 {
		t.Errorf("asked %v, want six times", d.asked)
	}
}

// The environment's proxy has no part in it.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.test:1")
	t.Setenv("http_proxy", "http://proxy.test:1")
	d := &dialer{}
	_, err := New(d, nil).Do(t.Context(), &Request{URL: "http://one.test/"})
	if !errors.Is(err, sandbox.ErrDenied) || len(d.asked) != 1 || d.asked[0] != "one.test:80" {
		t.Errorf("error %v, asked %v", err, d.asked)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS.ServerName) }))
	defer server.Close()
	server.Config.ErrorLog = nil
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate()) // for example.com
	cases := []struct {
		host  string
		roots *x509.CertPool
		ok    bool
	}{{"example.com", roots, true}, {"other.test", roots, false}, {"example.com", nil, false}}
	for _, c := range cases {
		d := &dialer{allowed: map[string]bool{c.host: true}}
		resp, err := New(d, c.roots).Do(t.Context(), &Request{URL: "https://" + c.host + ":" + portOf(t, server)})
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v", c.host, err)
		}
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(text) != c.host {
				t.Errorf("server name %q", text)
			}
		}
	}
}

// A request that could mislead is refused before anyone is asked.
func TestInvalidRequests(t *testing.T) {
	requests := map[string]Request{
		"file":           {URL: "file:///etc/passwd"},
		"no scheme":      {URL: "one.test"},
		"gopher":         {URL: "gopher://one.test/"},
		"user":           {URL: "http://good.test@evil.test/"},
		"no host":        {URL: "http:///x"},
		"opaque":         {URL: "http:one.test"},
		"hex address":    {URL: "http://0x7f.1/"},
		"number":         {URL: "http://2130706433/"},
		"short address":  {URL: "http://127.1/"},
		"zone":           {URL: "http://[fe80::1%25eth0]/"},
		"NUL":            {URL: "http://one.test%00.evil.test/"},
		"space":          {URL: "http://one.test evil.test/"},
		"port":           {URL: "http://one.test:99999/"},
		"port zero":      {URL: "http://one.test:0/"},
		"connect":        {URL: "http://one.test/", Method: "connect"},
		"trace":          {URL: "http://one.test/", Method: "TRACE"},
		"bad method":     {URL: "http://one.test/", Method: "GE T"},
		"host header":    {URL: "http://one.test/", Headers: map[string]string{"host": "evil.test"}},
		"length header":  {URL: "http://one.test/", Headers: map[string]string{"Content-length": "5"}},
		"framing header": {URL: "http://one.test/", Headers: map[string]string{"transfer-encoding": "chunked"}},
		"proxy header":   {URL: "http://one.test/", Headers: map[string]string{"Proxy-Authorization": "x"}},
		"header name":    {URL: "http://one.test/", Headers: map[string]string{"a\r\nHost": "x"}},
		"header value":   {URL: "http://one.test/", Headers: map[string]string{"a": "x\r\nHost: evil.test"}},
		"two bodies":     {URL: "http://one.test/", Body: "x", Base64: []byte("y")},
		"long reason":    {URL: "http://one.test/", Reason: strings.Repeat("x", data.MaxPurpose+1)},
		"long URL":       {URL: "http://one.test/" + strings.Repeat("x", maxURL)},
	}
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			d := &dialer{}
			if _, err := New(d, nil).Do(t.Context(), &r); err == nil || errors.Is(err, sandbox.ErrDenied) {
				t.Errorf("error %v", err)
			}
			if len(d.asked) > 0 {
				t.Errorf("asked about %v", d.asked)
			}
		})
	}
}

// One form of a host is asked about, whatever way it is written.
func TestCanonicalHosts(t *testing.T) {
	for in, want := range map[string]string{
		"http://ONE.Test/":                "one.test:80",
		"http://one.test.:80/":            "one.test:80",
		"https://one.test/":               "one.test:443",
		"http://[::ffff:192.0.2.1]:8080/": "192.0.2.1:8080",
		"http://[2001:DB8::0:1]/":         "[2001:db8::1]:80",
	} {
		d := &dialer{}
		New(d, nil).Do(t.Context(), &Request{URL: in})
		if len(d.asked) != 1 || d.asked[0] != want {
			t.Errorf("%s: asked about %v, want %s", in, d.asked, want)
		}
	}
}

func TestRedirectLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }))
	defer server.Close()
	d := &dialer{allowed: map[string]bool{"one.test": true}}
	_, err := New(d, nil).Do(t.Context(), &Request{URL: "http://one.test:" + portOf(t, server)})
	if !errors.Is(err, ErrRedirects) || len(d.asked) > maxRedirects+1 {
		t.Errorf("error %v after %d hops", err, len(d.asked))
	}
}

func TestBoundedBody(t *testing.T) {
	for text, want := range map[string]error{"12345": nil, "123456": ErrTooLarge} {
		body := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader(text)), left: 5}
		got, err := io.ReadAll(body)
		if !errors.Is(err, want) || string(got) != "12345" {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
