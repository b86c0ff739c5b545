package oci

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestConcurrentPulls: many pulls of two images that share a layer download
// each layer once.
func TestConcurrentPulls(t *testing.T) {
	var blobs atomic.Int64
	inner := memory.New(memory.Logger(discardLog()))
	var shared string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, shared) && shared != "" {
			blobs.Add(1)
			time.Sleep(50 * time.Millisecond)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	base := layerOf(t, file{name: "base", body: strings.Repeat("b", 1<<20)})
	push(t, host+"/one", imageOf(t, v1.Config{}, base, layerOf(t, file{name: "1"})))
	push(t, host+"/two", imageOf(t, v1.Config{}, base, layerOf(t, file{name: "2"})))
	d, err := base.Digest()
	if err != nil {
		t.Fatal(err)
	}
	shared = d.String()
	s, store := openTest(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ref := host + []string{"/one", "/two"}[i%2]
			if _, err := s.Pull(t.Context(), source(t, ref), PullOptions{Policy: PullAlways}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := blobs.Load(); n != 1 {
		t.Errorf("the shared layer was fetched %d times", n)
	}
	if left := listing(t, filepath.Join(store, tmpDir)); len(left) != 1 {
		t.Errorf("left in tmp: %q", left)
	}
}

// TestCanceledPull: a pull that is stopped leaves nothing half done, and the
// next one is not harmed.
func TestCanceledPull(t *testing.T) {
	inner := memory.New(memory.Logger(discardLog()))
	reached := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	var slow string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slow != "" && strings.HasSuffix(r.URL.Path, slow) && r.Method == http.MethodGet {
			once.Do(func() { close(reached) })
			<-release
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	img := small(t)
	push(t, host+"/app", img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[1].Digest()
	if err != nil {
		t.Fatal(err)
	}
	slow = d.String()
	s, store := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Pull(ctx, source(t, host+"/app"), PullOptions{}); done <- err }()
	<-reached
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled pull: %v", err)
	}
	if half := append(listing(t, filepath.Join(store, tmpDir)), listing(t, filepath.Join(store, imagesDir))...); len(half) != 2 {
		t.Errorf("left behind: %q", half)
	}
	close(release)
	if _, err := s.Pull(t.Context(), source(t, host+"/app"), PullOptions{}); err != nil {
		t.Errorf("the next pull: %v", err)
	}
}

// TestCrashLeftovers: what a killed agent left is gone when the store opens,
// and what was whole still serves.
func TestCrashLeftovers(t *testing.T) {
	dir := writeLayout(t, small(t))
	store := filepath.Join(t.TempDir(), "store")
	s, err := OpenStore(store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(store, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("the store was opened twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := listing(t, store)
	orphan := strings.Repeat("ab", 32)
	for _, path := range []string{"tmp/pull-1/0/fs/etc/passwd", "tmp/file-2", "layers/" + orphan + "/fs/x", "blobs/sha256/" + orphan} {
		path = filepath.Join(store, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = OpenStore(store, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sameListing(t, store, want)
	if found, err := s.Lookup(img.Ref); err != nil || readLayers(t, found, "bin/hello") != "hello" {
		t.Errorf("after the crash: %v, %v", found, err)
	}
}

func TestRemoveInUse(t *testing.T) {
	dir := writeLayout(t, small(t))
	s, _ := openTest(t)
	img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(img.Ref, func(d string) bool { return d == img.Digest }); !errors.Is(err, ErrInUse) {
		t.Errorf("removed what runs: %v", err)
	}
	if readLayers(t, img, "bin/hello") != "hello" {
		t.Error("its files are gone")
	}
	freed, err := s.Remove(img.Digest[:15], nil)
	if err != nil || freed == 0 {
		t.Errorf("Remove = %d, %v", freed, err)
	}
}

// TestDamagedStore: a manifest or config that changed on disk is noticed.
func TestDamagedStore(t *testing.T) {
	dir := writeLayout(t, small(t))
	s, store := openTest(t)
	img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(store, blobsDir, hexOf(img.Digest))
	if err := os.WriteFile(blob, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(img.Ref); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Lookup: %v", err)
	}
	if img, err = s.Pull(t.Context(), source(t, dir), PullOptions{}); err != nil || readLayers(t, img, "bin/hello") != "hello" {
		t.Errorf("pulling again: %v", err)
	}
}

func TestDiskReserve(t *testing.T) {
	dir := writeLayout(t, small(t))
	s, store := openTest(t)
	before := listing(t, store)
	s.limits.Reserve = 1 << 60
	if _, err := s.Pull(t.Context(), source(t, dir), PullOptions{}); err == nil || !strings.Contains(err.Error(), "free disk space") {
		t.Errorf("pulled onto a full disk: %v", err)
	}
	sameListing(t, store, before)
}
