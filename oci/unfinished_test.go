package oci

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// cutPull pulls an image of two layers, the second of which never comes, and
// leaves the first whole. fetched counts how often each blob was asked for.
func cutPull(t *testing.T) (s *Store, store, ref string, end func(), fetched func(v1.Layer) int, layers [2]v1.Layer) {
	t.Helper()
	layers = [2]v1.Layer{layerOf(t, file{name: "a/"}, file{name: "a/first", body: "1"}), layerOf(t, file{name: "b/"}, file{name: "b/second", body: "2"})}
	second, err := layers[1].Digest()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	counts := map[string]int{}
	broken := atomic.Bool{}
	host, _ := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		counts[filepath.Base(r.URL.Path)]++
		mu.Unlock()
		if !broken.Load() || !strings.HasSuffix(r.URL.Path, second.String()) {
			return false
		}
		<-r.Context().Done() // it hangs until the pull is given up
		return true
	})
	ref = host + "/app"
	push(t, ref, imageOf(t, v1.Config{}, layers[0], layers[1]))
	store = filepath.Join(t.TempDir(), "store")
	if s, err = OpenStore(store, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for { // until the first layer is whole
			if entries, err := os.ReadDir(filepath.Join(store, layersDir)); err == nil && len(entries) > 0 || ctx.Err() != nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := s.Pull(ctx, source(t, ref), PullOptions{}); err == nil {
		t.Fatal("the pull ended well")
	}
	return s, store, ref, func() { broken.Store(false) }, func(l v1.Layer) int {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return counts[d.String()]
	}, layers
}

// TestPullGoesOn: a pull that was cut off is taken up with the layers that were
// whole, also by the next agent.
func TestPullGoesOn(t *testing.T) {
	s, store, ref, mend, fetched, layers := cutPull(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mend()
	before := fetched(layers[0])
	img, err := s.Pull(t.Context(), source(t, ref), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if again := fetched(layers[0]) - before; again != 0 {
		t.Errorf("the layer that was whole was fetched %d times more", again)
	}
	if readLayers(t, img, "a/first") != "1" || readLayers(t, img, "b/second") != "2" {
		t.Error("wrong content")
	}
	if left := listing(t, filepath.Join(store, unfinishedDir)); len(left) != 1 {
		t.Errorf("the note stays: %q", left)
	}
}

// TestCutOffPullIsForgotten: by prune, and after a while.
func TestCutOffPullIsForgotten(t *testing.T) {
	for _, way := range []string{"prune", "time"} {
		s, store, _, _, _, _ := cutPull(t)
		if way == "prune" {
			if _, _, err := s.Prune(nil); err != nil {
				t.Fatal(err)
			}
		} else {
			s.now = func() time.Time { return time.Now().Add(keepUnfinished + time.Hour) }
			if _, err := s.sweep(); err != nil {
				t.Fatal(err)
			}
		}
		if left := append(listing(t, filepath.Join(store, layersDir)), listing(t, filepath.Join(store, unfinishedDir))...); len(left) != 2 {
			t.Errorf("%s leaves %q", way, left)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLayersAfterAPowerFailure: what was not synced before the machine went
// down is not believed; what was is.
func TestLayersAfterAPowerFailure(t *testing.T) {
	dir := writeLayout(t, small(t))
	for _, synced := range []bool{true, false} {
		store := filepath.Join(t.TempDir(), "store")
		s, err := OpenStore(store, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.boot = "before"
		img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, layer := range img.Layers {
			mark := filepath.Join(filepath.Dir(layer), durableMark)
			if _, err := os.Stat(mark); err != nil {
				t.Errorf("no mark after Close: %v", err)
			}
			if !synced {
				os.Remove(mark)
			}
		}
		if s, err = OpenStore(store, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(img.Ref); (err == nil) != synced {
			t.Errorf("synced %v: %v", synced, err)
		}
		if again, err := s.Pull(t.Context(), source(t, dir), PullOptions{}); err != nil || readLayers(t, again, "bin/hello") != "hello" {
			t.Errorf("synced %v: the next pull: %v", synced, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
