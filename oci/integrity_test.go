package oci

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestChangedConfig: a config of the right length with other bytes is refused.
func TestChangedConfig(t *testing.T) {
	img := small(t)
	dir := writeLayout(t, img)
	conf, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blobs", "sha256", conf.Hex)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), "/bin/hello", "/bin/HELLO", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil || changed == string(raw) {
		t.Fatal("the config was not changed", err)
	}
	s, store := openTest(t)
	before := listing(t, store)
	if _, err := s.Pull(t.Context(), source(t, dir), PullOptions{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a changed config: %v", err)
	}
	sameListing(t, store, before)
}

// TestChangedChild: a registry that answers with another manifest than the
// index names is not believed.
func TestChangedChild(t *testing.T) {
	img := small(t)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	evil := imageOf(t, v1.Config{}, layerOf(t, file{name: "evil"}))
	raw, err := evil.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var lie atomic.Bool
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !lie.Load() || !strings.HasSuffix(r.URL.Path, "/manifests/"+digest.String()) {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		w.Write(raw)
		return true
	})
	push(t, host+"/app:evil", evil)
	here, err := platformOf("")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &here}})); err != nil {
		t.Fatal(err)
	}
	lie.Store(true)
	if got, err := s.Pull(t.Context(), source(t, ref.String()), PullOptions{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another manifest than the index names: %+v, %v", got, err)
	}
}

// TestPruneDuringPull: a sweep does not take the layers of a pull under way.
func TestPruneDuringPull(t *testing.T) {
	first, second := layerOf(t, file{name: "one", body: "1"}), layerOf(t, file{name: "two", body: "2"})
	slow, err := second.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var on atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	host, s := flaky(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if on.Load() && strings.HasSuffix(r.URL.Path, slow.String()) {
			once.Do(func() { close(reached) })
			<-release
		}
		return false
	})
	push(t, host+"/app", imageOf(t, v1.Config{}, first, second))
	on.Store(true)
	unpacked := make(chan struct{})
	var whole sync.Once
	done := make(chan error, 1)
	var img *Image
	go func() {
		var err error
		img, err = s.Pull(t.Context(), source(t, host+"/app"), PullOptions{Progress: func(p Progress) {
			if p.Phase == "unpack" && p.Total > 0 {
				whole.Do(func() { close(unpacked) })
			}
		}})
		done <- err
	}()
	<-reached
	<-unpacked
	id, err := first.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	for !s.hasLayer(id.Hex) { // published right after its last report
		time.Sleep(time.Millisecond)
	}
	if _, _, err := s.Prune(nil); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if readLayers(t, img, "one") != "1" || readLayers(t, img, "two") != "2" {
		t.Error("a layer is missing")
	}
}

// zero is an endless stream of zeros.
type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

func TestBomb(t *testing.T) {
	bomb := &ratioed{r: zero{}, from: read(1 << 20)}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(bomb, 4*ratioFrom), make([]byte, 1<<20))
	if !errors.Is(err, errBomb) || n > 2*ratioFrom {
		t.Errorf("%d bytes of zeros from a megabyte: %v", n, err)
	}
	honest := &ratioed{r: zero{}, from: read(ratioFrom / 50)}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(honest, 2*ratioFrom), make([]byte, 1<<20)); err != nil {
		t.Errorf("100:1: %v", err)
	}
}

// read is a compressed side of which n bytes have come.
func read(n int64) *summed {
	s := &summed{}
	s.n.Store(n)
	return s
}
