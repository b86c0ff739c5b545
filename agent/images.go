package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci"
)

func (a *Agent) listImages(w http.ResponseWriter, _ *http.Request) error {
	images, err := a.images.Images()
	if err != nil {
		return err
	}
	list := []api.Image{}
	for i := range images {
		list = append(list, imageToAPI(&images[i]))
	}
	return ok(w, list)
}

func (a *Agent) inspectImage(w http.ResponseWriter, r *http.Request) error {
	img, err := a.images.Lookup(r.URL.Query().Get("ref"))
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
	freed, err := a.images.Remove(ref, a.imageInUse(r.URL.Query().Get("force") != ""))
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
	return ok(w, api.RemovedImages{Refs: refs, Bytes: freed})
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
	img, err := a.pull(r.Context(), req, say)
	if err != nil {
		say(api.Progress{Phase: "done", Error: asAPIError(err)})
		return nil
	}
	out := imageToAPI(img)
	say(api.Progress{Phase: "done", Image: &out})
	return nil
}
