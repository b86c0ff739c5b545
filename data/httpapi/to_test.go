package httpapi

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

const secretHandle = sandbox.HandlePrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// noHeader has a call leave out RequestHeader.
const noHeader = "X-No-Header"

// keeper is a Broker that has one secret for one origin, and lets the app
// connect to example.com.
type keeper struct {
	fake
	roots  []byte
	origin string
}

func (*keeper) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	switch f.Host {
	case "example.com":
		var d net.Dialer
		return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.Port))))
	case "nowhere.test":
		return nil, sandbox.ErrUnreachable
	}
	return nil, sandbox.ErrDenied
}

func (k *keeper) Roots(context.Context) ([]byte, error) { return k.roots, nil }

func (k *keeper) Reveal(_ context.Context, s sandbox.SecretFor) (string, error) {
	if s.Handle != secretHandle || s.Origin != k.origin {
		return "", sandbox.ErrDenied
	}
	return "s3cr3t", nil
}

// A request that is sent on has the secret at its place and nowhere else.
func TestASecretIsSentToItsPlaceOnly(t *testing.T) {
	var got []string
	place := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it was cut off
		}
		got = append(got, fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI, " ", r.Header.Get("Authorization"), " ", string(body), " ", r.Header.Get(RequestHeader), r.Header.Get("X-Forwarded-For")))
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Kept", "1")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	}))
	defer place.Close()
	_, port, err := net.SplitHostPort(place.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{origin: "https://example.com:" + port, roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: place.Certificate().Raw})}
	k.ended, k.uses = make(chan []uint64), map[uint64]int64{}
	api := New(k, host)
	defer api.Close()
	server := httptest.NewServer(api)
	defer server.Close()
	call := func(method, path, body string, header ...string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if !slices.Contains(header, noHeader) {
			req.Header.Set(RequestHeader, "1")
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
	at := "/v1/to/example.com:" + port
	resp, text := call("POST", at+"/v1//chat%2fx/../y?a=b&c", `{"hello":1}`, "Authorization", "Bearer "+secretHandle)
	if resp.StatusCode != http.StatusTeapot || text != "short and stout" || resp.Header.Get("X-Kept") != "1" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	if want := "POST example.com:" + port + ` /v1//chat%2fx/../y?a=b&c Bearer s3cr3t {"hello":1} `; len(got) != 1 || got[0] != want {
		t.Errorf("the place got %q, want %q", got, want)
	}
	if call("GET", at, ""); len(got) != 2 || !strings.HasPrefix(got[1], "GET example.com:"+port+" / ") {
		t.Errorf("without a secret: %q", got)
	}
	// A program that knows nothing of us has a handle for its key; what a page
	// could send does not count.
	got = nil
	for header, sent := range map[string]bool{"Authorization": true, "X-Api-Key": true, "Accept": false, "Referer": false, "Cookie": false, "Content-Type": false} {
		before := len(got)
		resp, text := call("GET", at+"/", "", header, "Bearer "+secretHandle, noHeader, "")
		if sent != (resp.StatusCode == http.StatusTeapot) || sent != (len(got) > before) || !sent && !strings.Contains(text, "header-missing") {
			t.Errorf("%s: %d %s", header, resp.StatusCode, text)
		}
		if sent && (resp.Header.Get("Content-Security-Policy") != "sandbox" || resp.Header.Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("a browser would show it as ours: %v", resp.Header)
		}
	}
	if resp, text := call("GET", "/v1/kinds", "", "Authorization", "Bearer "+secretHandle, noHeader, ""); resp.StatusCode != 403 {
		t.Errorf("a handle opens more than it is for: %d %s", resp.StatusCode, text)
	}
	k.origin = "https://other.test"
	got = nil
	for _, c := range []struct {
		path, header, value string
		status              int
		code                string
	}{
		{at + "/", "Authorization", "Bearer " + secretHandle, 403, "denied"}, // kept for another place
		{at + "/", "Authorization", "Bearer " + sandbox.HandlePrefix + strings.Repeat("A", 26), 403, "denied"},
		{"/v1/to/secret.test/", "X", "1", 403, "denied"},
		{"/v1/to/nowhere.test/", "X", "1", 502, "unreachable"},
		{"/v1/to/user@example.com:" + port + "/", "X", "1", 400, "invalid"},
		{"/v1/to/", "X", "1", 400, "invalid"},
		{at + "/", "Upgrade", "websocket", 400, "invalid"},
		{at + "/", "Origin", "https://example.com", 403, "origin"},
	} {
		resp, text := call("GET", c.path, "", c.header, c.value)
		if resp.StatusCode != c.status || !strings.Contains(text, "problems/"+c.code+`"`) {
			t.Errorf("%s %s %s: %d %s", c.path, c.header, c.value, resp.StatusCode, text)
		}
	}
	if len(got) > 0 {
		t.Errorf("a request went out all the same: %q", got)
	}
	if resp, text := call("POST", at+"/", strings.Repeat("x", maxSentOn+1)); resp.StatusCode != 400 || !strings.Contains(text, "16 MiB") {
		t.Errorf("a body without end: %d %s", resp.StatusCode, text)
	}
	k.roots = bytes.Replace(k.roots, []byte("CERT"), []byte("NONE"), 2)
	other := New(k, host)
	defer other.Close()
	server.Config.Handler = other
	got = nil
	if resp, text := call("GET", at+"/", ""); resp.StatusCode != 503 || len(got) > 0 {
		t.Errorf("nobody is trusted: %d %s", resp.StatusCode, text)
	}
}
