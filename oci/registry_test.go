package oci

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// debianRegistry starts Debian's docker-registry on loopback, with a password.
func debianRegistry(t *testing.T, user, password string) (host string) {
	t.Helper()
	for _, program := range []string{"docker-registry", "htpasswd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: apt-get install docker-registry apache2-utils", program)
		}
	}
	dir := t.TempDir()
	hash, err := exec.Command("htpasswd", "-Bbn", user, password).Output()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\nauth: {htpasswd: {realm: test, path: %s}}\n",
		filepath.Join(dir, "data"), host, filepath.Join(dir, "htpasswd"))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "htpasswd"), hash, 0o600), os.WriteFile(filepath.Join(dir, "config.yml"), []byte(conf), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", filepath.Join(dir, "config.yml"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("docker-registry did not start")
	return ""
}

func TestDebianRegistry(t *testing.T) {
	host := debianRegistry(t, "ann", "secret")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	ref, err := name.ParseReference(host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, small(t), remote.WithAuth(&authn.Basic{Username: "ann", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	s, store := openTest(t)
	before := listing(t, store)
	_, err = s.Pull(t.Context(), source(t, ref.String()), PullOptions{})
	if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "docker login "+host) {
		t.Errorf("without credentials: %v", err)
	}
	logIn(t, host, "ann:wrong")
	if _, err := s.Pull(t.Context(), source(t, ref.String()), PullOptions{}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("with a wrong password: %v", err)
	}
	logIn(t, host, "ann:secret")
	if _, err := s.Pull(t.Context(), source(t, host+"/team/app:typo"), PullOptions{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "spelling") {
		t.Errorf("a tag that is not there: %v", err)
	}
	sameListing(t, store, before)
	img, err := s.Pull(t.Context(), source(t, ref.String()), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if readLayers(t, img, "bin/hello") != "hello" {
		t.Error("wrong content")
	}
}

func logIn(t *testing.T, host, login string) {
	t.Helper()
	conf := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(login)))
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCredentialHelper: credentials come from the helper that config.json names.
func TestCredentialHelper(t *testing.T) {
	host := debianRegistry(t, "bob", "hidden")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	helper := "#!/bin/sh\necho '{\"ServerURL\":\"x\",\"Username\":\"bob\",\"Secret\":\"hidden\"}'\n"
	conf := fmt.Sprintf(`{"credHelpers":{%q:"consentrytest"}}`, host)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "docker-credential-consentrytest"), []byte(helper), 0o700),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(conf), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	push := source(t, host+"/app")
	if err := remote.Write(push.Ref, small(t), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		t.Fatal(err)
	}
	s, _ := openTest(t)
	if _, err := s.Pull(t.Context(), push, PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestLoopbackIsExact(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.8.8.8": true, "[::1]:5000": true, "[::1]": true,
		"10.0.0.1:5000": false, "192.168.1.1": false, "box.local:5000": false, "127.0.0.1.evil.example": false,
		"x127.0.0.1.evil.example:80": false, "localhost.evil.example:80": false, "": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) = %v", host, got)
		}
	}
}

// TestNoPlainHTTP: a registry that is not on this machine is not spoken to in
// plain HTTP, neither at first nor after a redirect, and cannot send the agent
// to a service of this machine.
func TestNoPlainHTTP(t *testing.T) {
	var reached atomic.Int64
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1) })
	srv := httptest.NewServer(inner)
	t.Cleanup(srv.Close)
	for _, url := range []string{"http://box.local/v2/", "http://10.1.2.3/v2/", "http://127.0.0.1.evil.example/", "ftp://127.0.0.1/", srv.URL} {
		g := &guard{inner: http.DefaultTransport, wait: sleep}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := g.RoundTrip(req); !errors.Is(err, errPlainHTTP) {
			t.Errorf("%s: %v, %v", url, resp, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("a service of this machine was reached")
	}
	g := &guard{inner: http.DefaultTransport, loopback: true, wait: sleep}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.RoundTrip(req)
	if err != nil || reached.Load() != 1 {
		t.Fatalf("a registry on this machine: %v", err)
	}
	resp.Body.Close()
}

// flaky is a registry on loopback that fails as told.
func flaky(t *testing.T, fault func(w http.ResponseWriter, r *http.Request) bool) (host string, s *Store) {
	t.Helper()
	inner := memory.New(memory.Logger(discardLog()))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !fault(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	s, _ = openTest(t)
	return strings.TrimPrefix(srv.URL, "http://"), s
}

func TestRetryAfter(t *testing.T) {
	var refused atomic.Int64
	on := atomic.Bool{}
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.Contains(r.URL.Path, "/blobs/") || refused.Add(1) > 2 {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[refused.Load()-1])
		return true
	})
	push(t, host+"/app", imageOf(t, v1.Config{}, layerOf(t, file{name: "f", body: "x"})))
	on.Store(true)
	start := time.Now()
	if _, err := s.Pull(t.Context(), source(t, host+"/app"), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("two waits of a second took %v", took)
	}
}

func TestRateLimit(t *testing.T) {
	on := atomic.Bool{}
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	push(t, host+"/app", small(t))
	on.Store(true)
	_, err := s.Pull(t.Context(), source(t, host+"/app"), PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "limits how much may be pulled") {
		t.Errorf("a limit of an hour: %v", err)
	}
}

// TestResume: a blob whose connection breaks is taken up where it broke.
func TestResume(t *testing.T) {
	body := make([]byte, 4<<20)
	for i := range body {
		body[i] = byte(i * 7919 >> 5)
	}
	layer := layerOf(t, file{name: "f", body: string(body)})
	var raw []byte
	if r, err := layer.Compressed(); err == nil {
		raw = readAll(t, r)
	}
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var ranges []string
	on := atomic.Bool{}
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.HasSuffix(r.URL.Path, digest.String()) {
			return false
		}
		from := 0
		if asked := r.Header.Get("Range"); asked != "" {
			ranges = append(ranges, asked)
			from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(asked, "bytes="), "-"))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(raw[from:min(len(raw), from+len(raw)/3+1)])
		return true // the server cuts the connection: less than announced
	})
	push(t, host+"/app", imageOf(t, v1.Config{}, layer))
	on.Store(true)
	img, err := s.Pull(t.Context(), source(t, host+"/app"), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if readLayers(t, img, "f") != string(body) {
		t.Error("wrong content")
	}
	if len(ranges) != 2 {
		t.Errorf("asked for %q, want to resume twice", ranges)
	}
}

func readAll(t *testing.T, r interface {
	Read([]byte) (int, error)
	Close() error
}) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			r.Close()
			return all
		}
	}
}

func TestRegistryDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	s, _ := openTest(t)
	_, err = s.Pull(t.Context(), source(t, host+"/app"), PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestLyingRegistry: a registry that sends another manifest than the pinned
// one, a blob of another length, or an endless answer is not believed.
func TestLyingRegistry(t *testing.T) {
	on := atomic.Int64{}
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case on.Load() == 1 && strings.Contains(r.URL.Path, "/manifests/sha256:"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			fmt.Fprint(w, `{"schemaVersion":2,"config":{},"layers":[]}`)
			return true
		case on.Load() == 2 && strings.Contains(r.URL.Path, "/blobs/"):
			fmt.Fprint(w, "short")
			return true
		case on.Load() == 3 && strings.Contains(r.URL.Path, "/manifests/"):
			for range 2048 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		}
		return false
	})
	img := small(t)
	push(t, host+"/app", img)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for i, ref := range []string{host + "/app@" + digest.String(), host + "/app", host + "/app"} {
		on.Store(int64(i + 1))
		if _, err := s.Pull(t.Context(), source(t, ref), PullOptions{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("lie %d: %v", i+1, err)
		}
	}
}
