//go:build unix

package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci"
)

// imageLayout is an image that nobody runs.
func imageLayout(t *testing.T) string {
	t.Helper()
	img, err := random.Image(1<<10, 2)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{Cmd: []string{"/x"}})
	}
	dir := filepath.Join(t.TempDir(), "image")
	path, writeErr := layout.Write(dir, empty.Index)
	if err := errors.Join(err, writeErr); err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWhatIsNeededIsNotRemoved: neither what runs, nor what a run that waits
// for its review will run, is removed; what nothing needs is.
func TestWhatIsNeededIsNotRemoved(t *testing.T) {
	w := newTestAgent(t)
	source := imageLayout(t)
	img, err := w.pullFor(t.Context(), "run1", api.PullRequest{Source: source}, func(api.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	kept := func(when string) {
		t.Helper()
		if _, err := w.client.RemoveImage(t.Context(), img.Ref, true); err == nil {
			t.Errorf("%s: removed", when)
		}
		if r, err := w.client.Prune(t.Context()); err != nil || len(r.Refs) != 0 {
			t.Errorf("%s: prune removed %q, %v", when, r.Refs, err)
		}
		for _, dir := range img.Layers {
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	kept("while it is prepared")
	rec := &record{Request: api.RunRequest{Source: source}}
	rec.ID, rec.Digest, rec.State = "run1", img.Digest, api.Created
	r := newRun(w.Agent, rec)
	r.live = &live{}
	w.mu.Lock()
	w.Agent.runs["run1"] = r
	w.mu.Unlock()
	w.holds.release("run1")
	kept("while it runs")
	w.mu.Lock()
	delete(w.Agent.runs, "run1")
	w.mu.Unlock()
	if r, err := w.client.Prune(t.Context()); err != nil || len(r.Refs) != 1 || r.Bytes == 0 {
		t.Errorf("what nothing needs: %+v, %v", r, err)
	}
	if use, err := w.client.DiskUse(t.Context()); err != nil || len(use) != 4 || use[0].Bytes != 0 {
		t.Errorf("df: %+v, %v", use, err)
	}
}

// TestStoreBehindALink: directories that are mounted are named without links.
func TestStoreBehindALink(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	s, err := oci.OpenStore(filepath.Join(link, "images"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	src, err := oci.ParseSource(imageLayout(t))
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Pull(t.Context(), src, oci.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range img.Layers {
		if plain, err := filepath.EvalSymlinks(dir); err != nil || plain != dir {
			t.Errorf("layer at %s, which is %s, %v", dir, plain, err)
		}
	}
}
