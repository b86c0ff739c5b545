package oci

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// saved is an image as docker saves it, in a short directory.
func saved(t *testing.T, ref string) (file, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dm") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(file, tag, small(t)); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

func TestDaemon(t *testing.T) {
	file, dir := saved(t, "docker.io/library/web:1")
	socket := filepath.Join(dir, "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/images/web:1/get":
			http.ServeFile(w, r, file)
		case "/images/away/get":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		default:
			http.Error(w, `{"message":"No such image"}`, http.StatusNotFound)
		}
	})}}
	srv.Start()
	t.Cleanup(srv.Close)
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	s, store := openTest(t)
	img, err := s.Pull(t.Context(), source(t, "docker-daemon:web:1"), PullOptions{})
	if err != nil || img.Ref != "docker-daemon:web:1" || img.Publisher != "" || readLayers(t, img, "bin/hello") != "hello" {
		t.Fatalf("got %+v, %v", img, err)
	}
	if left := listing(t, filepath.Join(store, tmpDir)); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := s.Pull(t.Context(), source(t, "docker-daemon:none"), PullOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image it has not: %v", err)
	}
	if _, err := s.Pull(t.Context(), source(t, "docker-daemon:away"), PullOptions{}); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirect: %v", err)
	}
	for _, bad := range []string{"docker-daemon:", "docker-daemon:../x", "docker-daemon:a?b", "docker-daemon:/x", "docker-daemon:a b"} {
		if src, err := ParseSource(bad); err == nil {
			t.Errorf("%q is %+v", bad, src)
		}
	}
}

// TestPodman: a real podman, with a store of its own.
func TestPodman(t *testing.T) {
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("needs podman: apt-get install podman")
	}
	file, dir := saved(t, "localhost/team/web:1")
	podman := func(args ...string) *exec.Cmd {
		return exec.Command("podman", append([]string{
			"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
		}, args...)...)
	}
	if out, err := podman("load", "-i", file).CombinedOutput(); err != nil {
		t.Fatalf("podman load: %v: %s", err, out)
	}
	socket := filepath.Join(dir, "p.sock")
	service := podman("system", "service", "--time", "0", "unix://"+socket)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Process.Kill(); service.Wait() })
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	s, _ := openTest(t)
	img, err := s.Pull(t.Context(), source(t, "docker-daemon:localhost/team/web:1"), PullOptions{})
	if err != nil || readLayers(t, img, "bin/hello") != "hello" || len(img.Config.Cmd) != 1 {
		t.Fatalf("got %+v, %v", img, err)
	}
	if _, err := s.Pull(t.Context(), source(t, "docker-daemon:localhost/none:1"), PullOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image it has not: %v", err)
	}
}
