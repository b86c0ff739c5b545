package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci"
)

// holds are the images of runs that are being prepared, by the run's id: what
// was pulled for a run that waits for its review must not be pruned.
type holds struct {
	mu    sync.Mutex
	byRun map[string]string // run → digest
}

func (h *holds) set(run, digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byRun == nil {
		h.byRun = map[string]string{}
	}
	h.byRun[run] = digest
}

func (h *holds) release(run string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byRun, run)
}

func (h *holds) has(digest string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(h.byRun)), digest)
}

// imageInUse tells whether a run needs an image: any run, or with force only
// one that is alive. It looks when it is asked, which the store does while
// nothing else can take the image.
func (a *Agent) imageInUse(force bool) func(digest string) bool {
	return func(digest string) bool {
		if a.holds.has(digest) {
			return true
		}
		return slices.ContainsFunc(a.list(), func(r *run) bool {
			rec, l := r.snapshot()
			return rec.Digest == digest && (l != nil || !force)
		})
	}
}

// maxPulls bounds how often an image is pulled that goes away again at once.
const maxPulls = 3

// pullFor makes the image present for a run, and holds it until a.holds lets
// go of the run.
func (a *Agent) pullFor(ctx context.Context, run string, req api.PullRequest, progress func(api.Progress)) (*oci.Image, error) {
	for range maxPulls {
		img, err := a.pull(ctx, req, progress)
		if err != nil {
			return nil, err
		}
		a.holds.set(run, img.Digest)
		again, err := a.images.Lookup(img.Ref) // it may have been pruned before it was held
		if err == nil && again.Digest == img.Digest {
			return again, nil
		}
		if err != nil && !errors.Is(err, oci.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("image %s was removed again and again while it was wanted", req.Source)
}
