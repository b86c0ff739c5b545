package oci

import (
	"encoding/pem"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func registriesFile(t *testing.T, text string) Registries {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registries.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := LoadRegistries(path)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestMirrors: the first mirror that has an image serves it, the registry
// itself is asked last; what is pinned is checked whoever sends it.
func TestMirrors(t *testing.T) {
	mirror, origin, down := serve(t), serve(t), "127.0.0.1:1"
	set := registriesFile(t, `{"`+origin+`":{"mirrors":["`+down+`","`+mirror+`/cache"]}}`)
	there := imageOf(t, v1.Config{}, layerOf(t, file{name: "f", body: "mirror"}))
	push(t, mirror+"/cache/team/app:1", there)
	push(t, origin+"/team/app:1", imageOf(t, v1.Config{}, layerOf(t, file{name: "f", body: "origin"})))
	push(t, origin+"/team/other:1", imageOf(t, v1.Config{}, layerOf(t, file{name: "f", body: "origin"})))
	s, _ := openTest(t)
	for ref, want := range map[string]string{"/team/app:1": "mirror", "/team/other:1": "origin", "/team/app@" + digestOf(t, there).String(): "mirror"} {
		img, err := s.Pull(t.Context(), source(t, origin+ref), PullOptions{Registries: set})
		if err != nil || readLayers(t, img, "f") != want || !strings.HasPrefix(img.Ref, origin) {
			t.Errorf("%s: %+v, %v, want that of the %s", ref, img, err, want)
		}
	}
	if _, err := s.Pull(t.Context(), source(t, origin+"/team/none:1"), PullOptions{Registries: set}); !errors.Is(err, ErrNotFound) {
		t.Errorf("what nobody has: %v", err)
	}
}

// TestPrivateCA: a registry whose certificate is the user's own issuer's.
func TestPrivateCA(t *testing.T) {
	srv := httptest.NewUnstartedServer(memory.New(memory.Logger(discardLog())))
	srv.Config.ErrorLog = log.New(discardLog().Writer(), "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// The certificate is for 127.0.0.1 and example.com. TLS is spoken on
	// loopback too when the registry does.
	host := "127.0.0.1:" + port
	ref, err := name.ParseReference(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, small(t), remote.WithTransport(srv.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	s, _ := openTest(t)
	src := source(t, ref.String())
	if _, err := s.Pull(t.Context(), src, PullOptions{}); err == nil || !strings.Contains(err.Error(), "registries.json") {
		t.Fatalf("an unknown issuer: %v", err)
	}
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := s.Pull(t.Context(), src, PullOptions{Registries: registriesFile(t, `{"`+host+`":{"ca":"`+ca+`"}}`)})
	if err != nil || readLayers(t, img, "bin/hello") != "hello" {
		t.Fatalf("with its issuer: %v", err)
	}
	base := &http.Transport{}
	certs := filepath.Join(dir, "certs.d", host)
	if err := errors.Join(os.MkdirAll(certs, 0o700), os.Rename(ca, filepath.Join(certs, "ca.crt")), Registries(nil).trust(base, host, []string{filepath.Dir(certs)})); err != nil || base.TLSClientConfig == nil {
		t.Errorf("certs.d: %v", err)
	}
	if err := (Registries{host: {CA: filepath.Join(dir, "none")}}).trust(base, host, nil); err == nil {
		t.Error("a file that is not there is passed over")
	}
}

func TestRegistriesFileThatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registries.json")
	if set, err := LoadRegistries(path); set != nil || err != nil {
		t.Errorf("none: %v, %v", set, err)
	}
	for _, text := range []string{`{`, `{"x":{"miror":[]}}`, `[]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if set, err := LoadRegistries(path); err == nil {
			t.Errorf("%s: %v", text, set)
		}
	}
}

// TestBrokenAnswerIsAskedForAgain: a connection that is reset in the middle.
func TestBrokenAnswerIsAskedForAgain(t *testing.T) {
	var cuts atomic.Int64
	on := atomic.Bool{}
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.Contains(r.URL.Path, "/manifests/") || cuts.Add(1) > 1 {
			return false
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		return true
	})
	push(t, host+"/app", small(t))
	on.Store(true)
	if _, err := s.Pull(t.Context(), source(t, host+"/app"), PullOptions{}); err != nil || cuts.Load() < 2 {
		t.Errorf("asked %d times: %v", cuts.Load(), err)
	}
}
