package agent

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/oci/unpack"
)

// diskUse answers with what the data directory holds.
func (a *Agent) diskUse(w http.ResponseWriter, r *http.Request) error {
	list := []api.DiskUse{}
	for _, count := range []func(context.Context) (api.DiskUse, error){a.imagesUse, a.modulesUse, a.runsUse, a.volumesUse} {
		use, err := count(r.Context())
		if err != nil {
			return err
		}
		list = append(list, use)
	}
	return ok(w, list)
}

func (a *Agent) imagesUse(context.Context) (api.DiskUse, error) {
	u, err := a.images.Usage(a.imageInUse(false))
	return api.DiskUse{
		What: "images", Count: u.Images, Active: u.Active, Bytes: u.Bytes, Reclaimable: u.Reclaimable,
		Shared: u.DuplicatesSpared, Remedy: "consentry prune",
	}, err
}

func (a *Agent) runsUse(ctx context.Context) (api.DiskUse, error) {
	use := api.DiskUse{What: "runs", Remedy: "consentry rm RUN"}
	for _, r := range a.list() {
		_, l := r.snapshot()
		bytes, _, err := unpack.Size(ctx, r.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return use, err
		}
		use.Count++
		use.Bytes += bytes
		if l != nil {
			use.Active++
		} else {
			use.Reclaimable += bytes
		}
	}
	return use, nil
}

func (a *Agent) volumesUse(ctx context.Context) (api.DiskUse, error) {
	use := api.DiskUse{What: "volumes", Remedy: "consentry volume prune --all"}
	all, err := a.volumes.List()
	users := a.volumeUsers()
	for _, v := range all {
		u, err := a.volumes.Usage(ctx, v.Name)
		if err != nil {
			continue // removed meanwhile
		}
		use.Count++
		use.Bytes += u.Bytes
		if len(users[v.Name]) > 0 {
			use.Active++
		} else {
			use.Reclaimable += u.Bytes
		}
	}
	return use, err
}
