package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/wasmhost"
)

// keptModule is one name of a module in the store.
type keptModule struct {
	pulledModule // Ref is the digest for one that has no name any more
	Size         int64
	Pulled       time.Time
}

// list returns every module, by name; one that has several stands there as often.
func (m *moduleStore) list() ([]keptModule, error) {
	files, err := filepath.Glob(filepath.Join(m.dir, "*.wasm"))
	if err != nil {
		return nil, fmt.Errorf("module store: %w", err)
	}
	named, err := m.named()
	if err != nil {
		return nil, err
	}
	var all []keptModule
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			continue // removed meanwhile
		}
		digest := "sha256:" + strings.TrimSuffix(filepath.Base(file), ".wasm")
		names := named[digest]
		if len(names) == 0 {
			names = []keptModule{{pulledModule: pulledModule{Ref: digest, App: app.App{Digest: digest}}, Pulled: info.ModTime()}}
		}
		for _, k := range names {
			k.Size = info.Size()
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(x, y keptModule) int { return strings.Compare(x.Ref, y.Ref) })
	return all, nil
}

// named are the names of modules, by digest. One that cannot be read names
// nothing: its module is fetched again.
func (m *moduleStore) named() (map[string][]keptModule, error) {
	entries, err := os.ReadDir(m.refs())
	if err != nil {
		return nil, fmt.Errorf("module store: %w", err)
	}
	named := map[string][]keptModule{}
	for _, e := range entries {
		var k keptModule
		raw, err := os.ReadFile(filepath.Join(m.refs(), e.Name()))
		info, infoErr := e.Info()
		if err != nil || infoErr != nil || json.Unmarshal(raw, &k.pulledModule) != nil {
			continue
		}
		k.Pulled = info.ModTime()
		named[k.App.Digest] = append(named[k.App.Digest], k)
	}
	return named, nil
}

// minDigest is how many hex digits name a module by the start of its digest.
const minDigest = 4

// find looks a module up by name, digest, or a part of one that no other begins
// with; nil if there is none.
func (m *moduleStore) find(ref string) (*keptModule, error) {
	all, err := m.list()
	if err != nil {
		return nil, err
	}
	names := []string{ref}
	if src, err := oci.ParseSource(ref); err == nil {
		names = append(names, src.String())
	}
	part := strings.TrimPrefix(ref, "sha256:")
	var found *keptModule
	for i, k := range all {
		if slices.Contains(names, k.Ref) {
			return &all[i], nil
		}
		if len(part) < minDigest || !strings.HasPrefix(strings.TrimPrefix(k.App.Digest, "sha256:"), part) {
			continue
		}
		if found != nil && found.App.Digest != k.App.Digest {
			return nil, &api.Error{
				Code: "ambiguous", Message: fmt.Sprintf("%q is the start of more than one module's digest", ref),
				Hint: "write more of it", Status: statusBadRequest,
			}
		}
		found = &all[i]
	}
	return found, nil
}

// remove takes a name out of the store, and the module with its last one; a
// digest, or a part of one, means all names. The last name of a module that
// inUse names stays.
func (m *moduleStore) remove(ref string, k *keptModule, inUse func(digest string) bool) (freed int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	named, err := m.named()
	if err != nil {
		return 0, err
	}
	names := named[k.App.Digest]
	byDigest := strings.HasPrefix(k.App.Digest, ref) || strings.HasPrefix(k.App.Digest, "sha256:"+ref)
	if len(names) > 1 && !byDigest {
		return 0, m.dropName(k.Ref)
	}
	if inUse(k.App.Digest) {
		return 0, fmt.Errorf("remove %s: an app uses it; stop and remove the app first: %w", k.Ref, oci.ErrInUse)
	}
	return m.drop(k.App.Digest, names)
}

// drop removes a module, its names and its compiled code. m.mu is held.
func (m *moduleStore) drop(digest string, names []keptModule) (freed int64, err error) {
	freed = m.sizeOf(digest)
	for _, k := range names { // first: a name without a module names nothing
		err = errors.Join(err, m.dropName(k.Ref))
	}
	if err == nil {
		err = os.Remove(m.path(digest))
	}
	if err = errors.Join(err, os.RemoveAll(m.cachePath(digest))); err != nil {
		return 0, fmt.Errorf("module store: %w", err)
	}
	return freed, nil
}

// dropName forgets what ref names, if anything.
func (m *moduleStore) dropName(ref string) error {
	if err := os.Remove(m.pulledPath(ref)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("module store: %w", err)
	}
	return nil
}

// prune removes every module that inUse does not name.
func (m *moduleStore) prune(inUse func(digest string) bool) (removed []string, freed int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.list()
	if err != nil {
		return nil, 0, err
	}
	byDigest := map[string][]keptModule{}
	for _, k := range all {
		byDigest[k.App.Digest] = append(byDigest[k.App.Digest], k)
	}
	for digest, names := range byDigest {
		if inUse(digest) {
			continue
		}
		n, err := m.drop(digest, names)
		if err != nil {
			return removed, freed, err
		}
		freed += n
		for _, k := range names {
			removed = append(removed, k.Ref)
		}
	}
	slices.Sort(removed)
	return removed, freed, nil
}

// sizeOf is what a module takes, its compiled code included, in bytes.
func (m *moduleStore) sizeOf(digest string) int64 {
	size, _, _ := unpack.Size(context.Background(), m.cachePath(digest)) // what cannot be read is not counted
	if info, err := os.Stat(m.path(digest)); err == nil {
		size += info.Size()
	}
	return size
}

// holdModule keeps a module for a run that is being prepared; false if it is gone.
func (a *Agent) holdModule(run, digest string) bool {
	a.modules.mu.Lock()
	defer a.modules.mu.Unlock()
	if _, err := os.Stat(a.modules.path(digest)); err != nil {
		return false
	}
	a.holds.set(run, digest)
	return true
}

// held gets a module and holds it for a run. It may be removed between the two.
func (a *Agent) held(run string, get func() (app.App, error)) (app.App, error) {
	for range maxPulls {
		module, err := get()
		if err != nil || a.holdModule(run, module.Digest) {
			return module, err
		}
	}
	return app.App{}, errors.New("the module was removed again and again while it was wanted")
}

func (a *Agent) modulesUse(ctx context.Context) (api.DiskUse, error) {
	use := api.DiskUse{What: "modules", Remedy: "consentry prune"}
	all, err := a.modules.list()
	seen, inUse := map[string]bool{}, a.imageInUse(false)
	for _, k := range all {
		if seen[k.App.Digest] {
			continue
		}
		seen[k.App.Digest] = true
		use.Count++
		if inUse(k.App.Digest) {
			use.Active++
		} else {
			use.Reclaimable += a.modules.sizeOf(k.App.Digest)
		}
	}
	bytes, _, sizeErr := unpack.Size(ctx, a.modules.dir)
	use.Bytes = bytes
	return use, errors.Join(err, sizeErr)
}

func moduleToAPI(k *keptModule) api.Image {
	return api.Image{
		Ref: k.Ref, Digest: k.App.Digest, Format: formatModule, Size: k.Size, Pulled: k.Pulled, Publisher: k.App.Publisher,
	}
}

// inspectModule is moduleToAPI with what the module says about itself.
func (a *Agent) inspectModule(k *keptModule) (api.Image, error) {
	out := moduleToAPI(k)
	file, err := os.Open(a.modules.path(k.App.Digest))
	if err != nil {
		return out, fmt.Errorf("module store: %w", err)
	}
	defer file.Close()
	about, err := wasmhost.Inspect(file, k.Size)
	if err != nil {
		return out, fmt.Errorf("%s: %w", k.Ref, err)
	}
	imports := make([]string, len(about.Imports))
	for i, one := range about.Imports {
		imports[i] = one.Module + "." + one.Name
	}
	out.Config = map[string]any{
		"imports": imports, "functions": about.Functions, "command": about.Command, "component": about.Component,
	}
	if manifest := k.App.Manifest; manifest != nil {
		out.Config["manifest"] = manifest
	} else if about.Manifest != nil {
		out.Config["manifest"] = about.Manifest
	}
	return out, nil
}
