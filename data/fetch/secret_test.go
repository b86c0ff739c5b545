package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

const testHandle = sandbox.HandlePrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// keeper has one secret, for one origin.
type keeper struct {
	dialer
	origin string
	asked  []sandbox.SecretFor
}

func (k *keeper) Reveal(_ context.Context, s sandbox.SecretFor) (string, error) {
	k.asked = append(k.asked, s)
	if s.Handle != testHandle || s.Origin != k.origin {
		return "", sandbox.ErrDenied
	}
	return "s3cr3t", nil
}

// A handle in a header becomes the secret at its place, and nowhere else; what
// a redirect takes along is the handle at most.
func TestASecretIsPutInAtItsPlaceOnly(t *testing.T) {
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header.Clone()) }))
	defer other.Close()
	var got []string
	place := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://other.test:"+portOf(t, other)+"/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer place.Close()
	roots := x509.NewCertPool()
	roots.AddCert(place.Certificate())
	at := "https://example.com:" + portOf(t, place)
	k := &keeper{dialer: dialer{allowed: map[string]bool{"example.com": true, "other.test": true}}, origin: at}
	client := New(k, roots)
	fetch := func(url string) error {
		resp, err := client.Do(t.Context(), &Request{URL: url, Headers: map[string]string{"Authorization": "Bearer " + testHandle}})
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, path := range []string{"/", "/here", "/away"} {
		if err := fetch(at + path); err != nil {
			t.Fatal(path, err)
		}
	}
	if len(got) != 4 || strings.Join(got, ",") != strings.Repeat("Bearer s3cr3t,", 3)+"Bearer s3cr3t" {
		t.Errorf("the place got %q", got)
	}
	if len(elsewhere) != 1 || strings.Contains(strings.Join(elsewhere[0]["Authorization"], ""), "s3cr3t") {
		t.Errorf("another place got %v", elsewhere)
	}
	if err := fetch("http://other.test:" + portOf(t, other) + "/"); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("asked for elsewhere: %v", err)
	}
	if len(elsewhere) != 1 {
		t.Error("the request went out all the same")
	}
}
