package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/oci"
)

func (a *Agent) listImages(w http.ResponseWriter, _ *http.Request) error {
	images, err := a.images.Images()
	if err != nil {
		return err
	}
	modules, err := a.modules.list()
	if err != nil {
		return err
	}
	list := []api.Image{}
	for i := range images {
		list = append(list, imageToAPI(&images[i]))
	}
	for i := range modules {
		list = append(list, moduleToAPI(&modules[i]))
	}
	slices.SortStableFunc(list, func(x, y api.Image) int { return strings.Compare(x.Ref, y.Ref) })
	return ok(w, list)
}

func (a *Agent) inspectImage(w http.ResponseWriter, r *http.Request) error {
	ref := r.URL.Query().Get("ref")
	if module, err := a.modules.find(ref); err != nil {
		return err
	} else if module != nil {
		out, err := a.inspectModule(module)
		if err != nil {
			return err
		}
		return ok(w, out)
	}
	img, err := a.images.Lookup(ref)
	if err != nil {
		return err
	}
	out := imageToAPI(img)
	raw, err := json.Marshal(img.Config)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &out.Config); err != nil {
		return err
	}
	out.Annotations = img.Annotations
	if img.Dropped != (oci.Dropped{}) {
		dropped := api.Dropped(img.Dropped)
		out.Dropped = &dropped
	}
	if r.URL.Query().Get("attachments") != "" {
		a.attachments(r.Context(), img, &out)
	}
	return ok(w, out)
}

// attachmentsWait is how long inspect waits for the image's registry.
const attachmentsWait = 5 * time.Second

// attachments adds what the registry has beside the image, if it answers.
func (a *Agent) attachments(ctx context.Context, img *oci.Image, out *api.Image) {
	ctx, cancel := context.WithTimeout(ctx, attachmentsWait)
	defer cancel()
	var found []oci.Attachment
	registries, err := oci.LoadRegistries(a.cfg.Registries)
	if err == nil {
		found, err = a.images.Attachments(ctx, img.Ref, registries)
	}
	if err != nil {
		out.AttachmentsError = err.Error()
	}
	for _, one := range found {
		out.Attachments = append(out.Attachments, api.Attachment{
			Kind: one.Kind, Type: one.Type, Digest: one.Digest, Size: one.Size, Of: one.Of, Where: one.Where,
		})
	}
}

func imageToAPI(img *oci.Image) api.Image {
	return api.Image{
		Ref: img.Ref, Digest: img.Digest, Format: formatImage, Size: img.Size, Pulled: img.Pulled,
		Platform: img.Platform, Layers: len(img.Layers), Labels: img.Labels,
		Publisher: img.Publisher, Signer: img.Signer,
	}
}

func (a *Agent) removeImage(w http.ResponseWriter, r *http.Request) error {
	ref := r.URL.Query().Get("ref")
	inUse := a.imageInUse(r.URL.Query().Get("force") != "")
	module, err := a.modules.find(ref)
	if err != nil {
		return err
	}
	var freed int64
	if module != nil {
		freed, err = a.modules.remove(ref, module, inUse)
	} else {
		freed, err = a.images.Remove(ref, inUse)
	}
	if err != nil {
		return err
	}
	return ok(w, api.RemovedImages{Refs: []string{ref}, Bytes: freed})
}

func (a *Agent) pruneImages(w http.ResponseWriter, _ *http.Request) error {
	refs, freed, err := a.images.Prune(a.imageInUse(false))
	if err != nil {
		return err
	}
	modules, bytes, err := a.modules.prune(a.imageInUse(false))
	if err != nil {
		return err
	}
	return ok(w, api.RemovedImages{Refs: append(refs, modules...), Bytes: freed + bytes})
}

func (a *Agent) pullImage(w http.ResponseWriter, r *http.Request) error {
	var req api.PullRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	var mu sync.Mutex // progress comes from several goroutines
	lines := json.NewEncoder(flushing{w})
	say := func(p api.Progress) {
		mu.Lock()
		defer mu.Unlock()
		lines.Encode(p) //nolint:errcheck // the client has gone; r.Context ends the pull
	}
	out, err := a.fetch(r.Context(), req, say)
	if err != nil {
		say(api.Progress{Phase: "done", Error: asAPIError(err)})
		return nil
	}
	say(api.Progress{Phase: "done", Image: &out})
	return nil
}

// fetch puts what a source names, image or module, into its store.
func (a *Agent) fetch(ctx context.Context, req api.PullRequest, say func(api.Progress)) (api.Image, error) {
	format, err := formatOf(req.Source)
	if err != nil {
		return api.Image{}, err
	}
	if format == formatModule {
		module, err := a.modules.add(req.Source)
		return a.fetched(req.Source, &module, err)
	}
	if stored, err := a.storedModule(req); err != nil || stored != nil {
		return a.fetched(req.Source, stored, err)
	}
	img, err := a.pull(ctx, req, say)
	if errors.Is(err, oci.ErrModule) {
		module, err := a.pullModule(ctx, req, say)
		return a.fetched(req.Source, &module, err)
	}
	if err != nil {
		return api.Image{}, err
	}
	return imageToAPI(img), nil
}

// fetched is the module in the store, as ref if it has that name.
func (a *Agent) fetched(ref string, module *app.App, err error) (api.Image, error) {
	if err != nil {
		return api.Image{}, err
	}
	for _, name := range []string{ref, module.Digest} {
		kept, err := a.modules.find(name)
		if err != nil {
			return api.Image{}, err
		}
		if kept != nil && kept.App.Digest == module.Digest {
			return moduleToAPI(kept), nil
		}
	}
	return api.Image{}, fmt.Errorf("module %s was removed at once: %w", module.Digest, oci.ErrNotFound)
}
