package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/snapshot"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/linuxhost/appfs"
	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/sandbox"
)

// contentCalls are the calls about the files of one run.
func (a *Agent) contentCalls() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/runs/{ref}/changes":                   a.listChanges,
		"GET /v1/runs/{ref}/files":                     a.copyOut,
		"PUT /v1/runs/{ref}/files":                     a.copyIn,
		"GET /v1/runs/{ref}/snapshots":                 a.listSnapshots,
		"POST /v1/runs/{ref}/snapshots":                a.createSnapshot,
		"POST /v1/runs/{ref}/snapshots/{name}/restore": a.restoreSnapshot,
		"GET /v1/runs/{ref}/snapshots/{name}/changes":  a.diffSnapshot,
		"DELETE /v1/runs/{ref}/snapshots/{name}":       a.removeSnapshot,
	}
}

// written finds a run that keeps what it writes in a layer of its own.
func (a *Agent) written(r *http.Request) (*run, record, error) {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return nil, record{}, err
	}
	rec, _ := run.snapshot()
	switch {
	case rec.Spec.Image == nil:
		err = &api.Error{Code: "not-supported", Message: rec.Name + " is a WebAssembly module: it has no files but those you share with it", Status: statusConflict}
	case rec.Spec.Image.Upper == "":
		err = &api.Error{Code: "ephemeral", Message: rec.Name + " keeps what it writes in memory", Status: statusConflict, Hint: "run it without --ephemeral"}
	}
	return run, rec, err
}

// views are the app's layers and what it wrote, each by itself.
func views(img *sandbox.Image) (below, upper *unpack.View, err error) {
	if below, err = unpack.OpenView(img.Lower); err != nil {
		return nil, nil, err
	}
	if upper, err = unpack.OpenView([]string{img.Upper}); err != nil {
		return nil, nil, errors.Join(err, below.Close())
	}
	return below, upper, nil
}

func (a *Agent) listChanges(w http.ResponseWriter, r *http.Request) error {
	_, rec, err := a.written(r)
	if err != nil {
		return err
	}
	below, upper, err := views(rec.Spec.Image)
	if err != nil {
		return err
	}
	found, err := unpack.Changes(below, upper, func(p string) bool { return oursInside(rec.Spec, p) })
	if err := errors.Join(err, below.Close(), upper.Close()); err != nil {
		return err
	}
	return ok(w, changesToAPI(found))
}

// oursInside tells the files that we write into every app, and where mounts go.
func oursInside(spec sandbox.Spec, p string) bool {
	_, file := spec.Image.Files[p]
	return file || ofSandbox(p) || slices.ContainsFunc(spec.Mounts, func(m sandbox.Mount) bool { return m.Target == p })
}

func changesToAPI(found []unpack.Change) []api.Change {
	list := []api.Change{}
	for _, c := range found {
		list = append(list, api.Change{Kind: string(c.Kind), Path: c.Path})
	}
	return list
}

// mountAt finds the mount that a path of the app lies in, and the path below it.
func mountAt(spec sandbox.Spec, p string) (m sandbox.Mount, below string, found bool) {
	for _, one := range spec.Mounts {
		rest, in := strings.CutPrefix(p, one.Target)
		if in && (rest == "" || rest[0] == '/') && len(one.Target) >= len(m.Target) {
			m, below, found = one, strings.TrimPrefix(rest, "/"), true
		}
	}
	return m, below, found
}

// insidePath is the path of a copy, clean.
func insidePath(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if !strings.HasPrefix(p, "/") || strings.IndexByte(p, 0) >= 0 {
		return "", invalid("path %.200q: an absolute path inside the app is needed", p)
	}
	return path.Clean(p), nil
}

func errShare(m sandbox.Mount) error {
	return &api.Error{Code: "share", Message: m.Target + " is your own folder " + m.Source, Status: statusConflict, Hint: "copy it there"}
}

// copyOut sends a file or tree of the app as a tar stream.
func (a *Agent) copyOut(w http.ResponseWriter, r *http.Request) (err error) {
	p, err := insidePath(r)
	if err != nil {
		return err
	}
	_, rec, err := a.written(r)
	if err != nil {
		return err
	}
	dirs, how := append(slices.Clone(rec.Spec.Image.Lower), rec.Spec.Image.Upper), unpack.Packing{IDBase: rec.Spec.Image.IDBase}
	if m, below, mounted := mountAt(rec.Spec, p); mounted {
		if !m.Volume {
			return errShare(m)
		}
		dirs, p, how = []string{m.Source}, "/"+below, unpack.Packing{}
	}
	view, err := unpack.OpenView(dirs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	if _, err := view.Lookup(p, true); err != nil {
		return &api.Error{Code: "not-found", Message: fmt.Sprintf("%s has no %.200q", rec.Name, p), Status: statusNotFound}
	}
	if p != "/" {
		how.Name = path.Base(p)
	}
	w.Header().Set("Content-Type", api.TarType)
	if err := view.Pack(r.Context(), w, p, how); err != nil {
		a.cfg.Log.Error("files not copied", "run", rec.ID, "error", err)
		panic(http.ErrAbortHandler) // the archive has no end, and the client an error
	}
	return nil
}

// copyIn unpacks a tar stream in a directory of the app.
func (a *Agent) copyIn(w http.ResponseWriter, r *http.Request) error {
	p, err := insidePath(r)
	if err != nil {
		return err
	}
	run, rec, err := a.written(r)
	if err != nil {
		return err
	}
	img, user := rec.Spec.Image, rec.Spec.Process.User
	if p, err = imagePath(img.Lower, p); err != nil {
		return err
	}
	m, below, mounted := mountAt(rec.Spec, p)
	_, l := run.snapshot()
	switch {
	case mounted && !m.Volume:
		err = errShare(m)
	case mounted:
		err = put(r, m.Source, nil, "/"+below, appfs.Tree{UID: user.UID, GID: user.GID})
	case l != nil:
		err = putAlive(r, l, p, user)
	default:
		err = run.atRest(func() error {
			return put(r, img.Upper, img.Lower, p, appfs.Tree{IDBase: img.IDBase, UID: user.UID, GID: user.GID})
		})
	}
	if err != nil {
		return err
	}
	a.note(consent.Event{Event: "copy-in", App: rec.App, Run: rec.ID, Target: p, By: "cli"})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// imagePath follows the image's own links on the way to p, such as /var/run's to
// /run. A link that the app made leads nowhere.
func imagePath(layers []string, p string) (real string, err error) {
	view, err := unpack.OpenView(layers)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	for up, rest := p, ""; up != "/"; up, rest = path.Dir(up), path.Join(path.Base(up), rest) {
		if n, err := view.Lookup(up, true); err == nil {
			return path.Join("/", n.Path, rest), nil
		}
	}
	return p, nil
}

// putAlive puts files into the tree that a running app sees.
func putAlive(r *http.Request, l *live, p string, owner sandbox.User) error {
	putter, can := l.instance.(sandbox.Putter)
	if !can {
		return fmt.Errorf("copy into a running app: %w", sandbox.ErrNotSupported)
	}
	files, w, err := os.Pipe()
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r.Body)
		sent <- errors.Join(err, w.Close())
	}()
	err = putter.Put(r.Context(), p, owner, files)
	if sendErr := <-sent; err == nil && !errors.Is(sendErr, syscall.EPIPE) {
		err = sendErr // the archive's rest is padding
	}
	return err
}

func put(r *http.Request, dir string, layers []string, p string, t appfs.Tree) (err error) {
	if t.Root, err = os.Open(dir); err != nil {
		return err
	}
	defer t.Root.Close()
	if layers != nil {
		view, err := unpack.OpenView(layers)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, view.Close()) }()
		t.Below = below{view}
	}
	return t.Put(r.Context(), p, r.Body)
}

// below is an image as appfs looks at it.
type below struct{ *unpack.View }

func (b below) Lstat(p string) (fs.FileInfo, error) {
	n, err := b.Lookup(p, false)
	return n.Info, err
}

// atRest does something to the layer of a run that is not alive, and keeps it
// from being started meanwhile.
func (r *run) atRest(do func() error) error {
	r.startMu.Lock()
	defer r.startMu.Unlock()
	rec, l := r.snapshot()
	if l != nil {
		return &api.Error{
			Code: "running", Message: rec.Name + " is running: what it sees would change under it", Status: statusConflict,
			Hint: "stop it first with: consentry stop " + rec.Name,
		}
	}
	return do()
}

func (a *Agent) snapshots(r *run) snapshot.Store {
	return snapshot.Store{Dir: filepath.Join(r.dir, "snapshots")}
}

func (a *Agent) listSnapshots(w http.ResponseWriter, r *http.Request) error {
	run, _, err := a.written(r)
	if err != nil {
		return err
	}
	all, err := a.snapshots(run).List()
	if err != nil {
		return err
	}
	list := []api.Snapshot{}
	for _, s := range all {
		list = append(list, api.Snapshot(s))
	}
	return ok(w, list)
}

func (a *Agent) createSnapshot(w http.ResponseWriter, r *http.Request) error {
	var req api.SnapshotRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	run, rec, err := a.written(r)
	if err != nil {
		return err
	}
	if req.Name == "" {
		req.Name = a.cfg.Now().UTC().Format("20060102-150405")
	}
	var made snapshot.Snapshot
	err = run.still(r.Context(), func() error {
		made, err = a.snapshots(run).Create(r.Context(), req.Name, rec.Spec.Image.Upper)
		return err
	})
	if err != nil {
		return err
	}
	return ok(w, api.Snapshot(made))
}

// still does something while an app that runs is held where it is, so that it
// is the state of one moment. It is not started meanwhile.
func (r *run) still(ctx context.Context, do func() error) (err error) {
	r.startMu.Lock()
	defer r.startMu.Unlock()
	rec, l := r.snapshot()
	if l == nil || rec.State == api.Paused {
		return do()
	}
	pauser, can := l.instance.(sandbox.Pauser)
	if !can {
		return do()
	}
	if err := pauser.Pause(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pauser.Unpause(context.WithoutCancel(ctx))) }()
	return do()
}

func (a *Agent) restoreSnapshot(w http.ResponseWriter, r *http.Request) error {
	run, rec, err := a.written(r)
	if err != nil {
		return err
	}
	err = run.atRest(func() error {
		return a.snapshots(run).Restore(r.Context(), r.PathValue("name"), rec.Spec.Image.Upper)
	})
	if err != nil {
		return err
	}
	a.note(consent.Event{Event: "snapshot-restore", App: rec.App, Run: rec.ID, Target: r.PathValue("name"), By: "cli"})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Agent) diffSnapshot(w http.ResponseWriter, r *http.Request) error {
	run, rec, err := a.written(r)
	if err != nil {
		return err
	}
	found, err := a.snapshots(run).Diff(r.Context(), r.PathValue("name"), rec.Spec.Image.Upper)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(c unpack.Change) bool { return oursInside(rec.Spec, c.Path) })
	return ok(w, changesToAPI(found))
}

func (a *Agent) removeSnapshot(w http.ResponseWriter, r *http.Request) error {
	run, _, err := a.written(r)
	if err != nil {
		return err
	}
	if err := a.snapshots(run).Remove(r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
