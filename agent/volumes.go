package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/volume"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/oci/unpack"
)

const (
	volumesDir = "volumes" // below the data directory
	// maxImageVolumes bounds the volumes that an image is given for its VOLUME.
	maxImageVolumes = 32
)

// storeCalls are the calls about what is kept on disk besides images.
func (a *Agent) storeCalls() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/volumes":                a.listVolumes,
		"POST /v1/volumes":               a.createVolume,
		"POST /v1/volumes/prune":         a.pruneVolumes,
		"GET /v1/volumes/{name}":         a.inspectVolume,
		"DELETE /v1/volumes/{name}":      a.removeVolume,
		"GET /v1/volumes/{name}/backup":  a.backupVolume,
		"PUT /v1/volumes/{name}/restore": a.restoreVolume,

		"GET /v1/df":            a.diskUse,
		"GET /v1/images/export": a.exportImage,
		"GET /v1/signers":       a.listSigners,
		"DELETE /v1/signers":    a.removeSigner,
	}
}

// imageVolumes adds to the volumes of a request those that the image asks for
// and that nothing else is mounted at. With everything in memory there are none.
func imageVolumes(run string, req api.RunRequest, targets []string) []api.VolumeMount {
	all := slices.Clone(req.Volumes)
	if req.Ephemeral {
		return all
	}
	taken := map[string]bool{}
	for _, v := range req.Volumes {
		taken[v.Target] = true
	}
	for _, s := range req.Shares {
		taken[s.Target] = true
	}
	for i, target := range targets {
		if taken[target] || ofSandbox(target) || i >= maxImageVolumes {
			continue
		}
		name := fmt.Sprintf("%.12s-%d-%s", run, i, volumeWord(target))
		all = append(all, api.VolumeMount{Name: name[:min(len(name), maxVolumeName)], Target: target, OfImage: true})
	}
	return all
}

const maxVolumeName = 63 // as nameForm has it

// ofSandbox says that a path inside is the sandbox's own.
func ofSandbox(target string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	return slices.Contains([]string{"proc", "sys", "dev"}, first)
}

// volumeWord is the last part of a path, fit for a name.
func volumeWord(target string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(path.Base(target)))
	return word
}

// exposedPorts adds to the ports of a request those that the image says it
// serves, each on a free port of this computer.
func exposedPorts(list []api.PortMapping, img *oci.Image) []api.PortMapping {
	all := slices.Clone(list)
	add := func(port uint16, kind api.PortKind) {
		udp := kind == api.PortUDP
		if !slices.ContainsFunc(list, func(p api.PortMapping) bool { return p.App == port && p.UDP() == udp }) {
			all = append(all, api.PortMapping{App: port, Kind: kind})
		}
	}
	for _, port := range img.ExposedPorts("tcp") {
		add(port, api.PortAuto)
	}
	for _, port := range img.ExposedPorts("udp") {
		add(port, api.PortUDP)
	}
	return all
}

// makeVolumes makes the volumes of a run that are not there. A new one gets
// what the image has at its place, as with docker.
func (a *Agent) makeVolumes(ctx context.Context, rec record) error {
	var fresh []api.VolumeMount
	for _, v := range rec.Request.Volumes {
		r := volume.Record{}
		if v.OfImage {
			r.Run, r.Target = rec.ID, v.Target
		}
		_, err := a.volumes.Create(v.Name, r)
		switch {
		case err == nil:
			fresh = append(fresh, v)
		case !errors.Is(err, volume.ErrExists):
			return err
		}
	}
	if rec.Spec.Image == nil || len(fresh) == 0 {
		return nil
	}
	return a.fillVolumes(ctx, rec.Spec.Image.Lower, fresh)
}

func (a *Agent) fillVolumes(ctx context.Context, layers []string, fresh []api.VolumeMount) (err error) {
	view, err := unpack.OpenView(layers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	for _, v := range fresh {
		if err := a.volumes.Fill(ctx, v.Name, view, v.Target); err != nil {
			return errors.Join(err, a.volumes.Remove(v.Name))
		}
	}
	return nil
}

// dropVolumes removes the volumes that were made for a run because of its image.
func (a *Agent) dropVolumes(rec record) error {
	var errs error
	for _, v := range rec.Request.Volumes {
		if !v.OfImage {
			continue
		}
		if err := a.volumes.Remove(v.Name); !errors.Is(err, volume.ErrNotFound) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// volumeUsers are the names of the runs that have a volume mounted, or would
// when they start.
func (a *Agent) volumeUsers() map[string][]string {
	users := map[string][]string{}
	for _, r := range a.list() {
		rec, _ := r.snapshot()
		for _, m := range rec.Spec.Mounts {
			if m.Volume {
				name := filepath.Base(m.Source)
				users[name] = append(users[name], rec.Name)
			}
		}
	}
	return users
}

func (a *Agent) listVolumes(w http.ResponseWriter, r *http.Request) error {
	all, err := a.volumes.List()
	if err != nil {
		return err
	}
	users, list := a.volumeUsers(), []api.Volume{}
	for _, v := range all {
		out, err := a.volumeToAPI(r.Context(), v, users[v.Name])
		if errors.Is(err, volume.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		list = append(list, out)
	}
	return ok(w, list)
}

func (a *Agent) volumeToAPI(ctx context.Context, v volume.Volume, users []string) (api.Volume, error) {
	usage, err := a.volumes.Usage(ctx, v.Name)
	slices.Sort(users)
	return api.Volume{
		Name: v.Name, Created: v.Created, Bytes: usage.Bytes, Files: usage.Files,
		OfRun: v.Run, Target: v.Target, Runs: users,
	}, err
}

func (a *Agent) showVolume(w http.ResponseWriter, r *http.Request, v volume.Volume) error {
	out, err := a.volumeToAPI(r.Context(), v, a.volumeUsers()[v.Name])
	if err != nil {
		return err
	}
	return ok(w, out)
}

func (a *Agent) createVolume(w http.ResponseWriter, r *http.Request) error {
	var req api.VolumeRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	v, err := a.volumes.Create(req.Name, volume.Record{})
	if err != nil {
		return err
	}
	return a.showVolume(w, r, v)
}

func (a *Agent) inspectVolume(w http.ResponseWriter, r *http.Request) error {
	v, err := a.volumes.Get(r.PathValue("name"))
	if err != nil {
		return err
	}
	return a.showVolume(w, r, v)
}

func (a *Agent) removeVolume(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if users := a.volumeUsers()[name]; len(users) > 0 {
		return &api.Error{
			Code: "in-use", Message: fmt.Sprintf("volume %s belongs to %s", name, strings.Join(users, ", ")), Status: statusConflict,
			Hint: "remove the runs first, with: consentry rm " + strings.Join(users, " "),
		}
	}
	if err := a.volumes.Remove(name); err != nil {
		return err
	}
	a.note(consent.Event{Event: "volume-rm", Target: name, By: "cli"})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pruneVolumes removes what images asked for and no run has any more; with all
// also what the user named.
func (a *Agent) pruneVolumes(w http.ResponseWriter, r *http.Request) error {
	all, err := a.volumes.List()
	if err != nil {
		return err
	}
	gone := api.RemovedVolumes{Names: []string{}}
	for _, v := range all {
		if len(a.volumeUsers()[v.Name]) > 0 || v.Run == "" && r.URL.Query().Get("all") == "" {
			continue
		}
		usage, err := a.volumes.Usage(r.Context(), v.Name)
		if err == nil {
			err = a.volumes.Remove(v.Name)
		}
		if err != nil {
			return err
		}
		gone.Names, gone.Bytes = append(gone.Names, v.Name), gone.Bytes+usage.Bytes
	}
	return ok(w, gone)
}

// backupVolume breaks the connection at an error in the middle: the archive
// then has no end, and the client an error.
func (a *Agent) backupVolume(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if _, err := a.volumes.Get(name); err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.TarType)
	if err := a.volumes.Backup(r.Context(), name, w); err != nil {
		a.cfg.Log.Error("volume not backed up", "volume", name, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (a *Agent) restoreVolume(w http.ResponseWriter, r *http.Request) error {
	v, err := a.volumes.Restore(r.Context(), r.PathValue("name"), r.Body)
	if err != nil {
		return err
	}
	a.note(consent.Event{Event: "volume-restore", Target: v.Name, By: "cli"})
	return a.showVolume(w, r, v)
}
