//go:build unix

package agent

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// fetched pulls a source, as the command does.
func (w *testAgent) fetched(source string) (api.Image, error) {
	w.t.Helper()
	var last api.Progress
	for p, err := range w.client.Pull(w.t.Context(), api.PullRequest{Source: source, Pull: "always"}) {
		if err != nil {
			w.t.Fatal(err)
		}
		last = p
	}
	if last.Error != nil {
		return api.Image{}, last.Error
	}
	return *last.Image, nil
}

// listed are the names in the store, and what they name.
func (w *testAgent) listed() (list []string) {
	w.t.Helper()
	images, err := w.client.Images(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range images {
		if i.Format != formatModule || i.Size == 0 || i.Pulled.IsZero() {
			w.t.Errorf("listed: %+v", i)
		}
		list = append(list, i.Ref+" "+i.Digest)
	}
	return list
}

func code(err error) string {
	var fault *api.Error
	if errors.As(err, &fault) {
		return fault.Code
	}
	return ""
}

// A module is pulled, listed, looked at and removed as an image is, and goes
// only when no run needs it.
func TestModulesInTheStore(t *testing.T) {
	w := newTestAgent(t)
	release := make(chan struct{})
	w.host.run = func(sandbox.Spec, sandbox.Broker) int { <-release; return 0 }
	host, asked := moduleRegistry(t)
	one, two := host+"/tools/one:1", host+"/tools/two:1"
	digest := w.push(one, "salt")
	w.push(two, "salt")
	for _, ref := range []string{one, two} {
		if got, err := w.fetched(ref); err != nil || got.Ref != ref || got.Digest != digest {
			t.Fatalf("pulled %+v, %v", got, err)
		}
	}
	if got := w.listed(); !slices.Equal(got, []string{one + " " + digest, two + " " + digest}) {
		t.Errorf("listed: %q", got)
	}
	before := asked.Load()
	detail, err := w.client.Image(t.Context(), digest[len("sha256:"):][:8], false)
	if err != nil || detail.Digest != digest || detail.Config["command"] != false {
		t.Errorf("inspect: %+v, %v", detail, err)
	}
	s := w.run(api.RunRequest{Source: one, Name: "kept", NoInput: true})
	s.next(api.FrameStarted)
	if n := asked.Load() - before; n != 0 {
		t.Errorf("the registry was asked %d times for what was pulled", n)
	}
	if _, err := w.client.RemoveImage(t.Context(), two, false); err != nil {
		t.Errorf("one name of two: %v", err)
	}
	for _, ref := range []string{one, digest} {
		if _, err := w.client.RemoveImage(t.Context(), ref, true); code(err) != "in-use" {
			t.Errorf("removed under a run: %v", err)
		}
	}
	if r, err := w.client.Prune(t.Context()); err != nil || len(r.Refs) != 0 {
		t.Errorf("pruned under a run: %+v, %v", r, err)
	}
	close(release)
	s.next(api.FrameExit)
	if _, err := w.client.RemoveImage(t.Context(), one, false); code(err) != "in-use" {
		t.Errorf("removed, and its run can be started again: %v", err)
	}
	if err := w.client.Remove(t.Context(), "kept", false, false); err != nil {
		t.Fatal(err)
	}
	use, err := w.client.DiskUse(t.Context())
	at := slices.IndexFunc(use, func(u api.DiskUse) bool { return u.What == "modules" })
	if err != nil || use[at].Count != 1 || use[at].Active != 0 || use[at].Reclaimable == 0 || use[at].Reclaimable > use[at].Bytes {
		t.Errorf("df: %+v, %v", use, err)
	}
	r, err := w.client.Prune(t.Context())
	if err != nil || !slices.Equal(r.Refs, []string{one}) || r.Bytes == 0 {
		t.Errorf("pruned %+v, %v", r, err)
	}
	if _, err := os.Stat(w.modules.path(digest)); !errors.Is(err, os.ErrNotExist) || len(w.listed()) != 0 {
		t.Errorf("it is still here: %v", err)
	}
	if _, err := w.client.RemoveImage(t.Context(), one, false); code(err) != "not-found" {
		t.Errorf("removed twice: %v", err)
	}
}

// The module of a file has the file's name; what it held before has only its digest.
func TestAFileInTheStore(t *testing.T) {
	w := newTestAgent(t)
	path := w.module("tool.wasm", "old")
	old, err := w.fetched(path)
	if err != nil || old.Ref != path {
		t.Fatalf("%+v, %v", old, err)
	}
	w.module("tool.wasm", "new")
	w.runs(w.run(api.RunRequest{Source: path, NoInput: true}))
	list := w.listed()
	if len(list) != 2 || !strings.HasPrefix(list[0], path+" sha256:") || list[1] != old.Digest+" "+old.Digest {
		t.Fatalf("listed: %q", list)
	}
	if r, err := w.client.RemoveImage(t.Context(), old.Digest[:20], false); err != nil || r.Bytes == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if list := w.listed(); len(list) != 1 {
		t.Errorf("listed: %q", list)
	}
}

// A reference names what it named when it was pulled last: an image now, a
// module before.
func TestAReferenceThatNamesAnImageNow(t *testing.T) {
	w := newTestAgent(t)
	host, _ := moduleRegistry(t)
	ref := host + "/tools/x:1"
	w.push(ref, "salt")
	if _, err := w.fetched(ref); err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	if got, err := w.fetched(ref); err != nil || got.Format != formatImage {
		t.Fatalf("pulled %+v, %v", got, err)
	}
	if module, err := w.modules.pulled(ref); err != nil || module != nil {
		t.Errorf("the reference still names the module %+v, %v", module, err)
	}
}

// What an agent that was killed had begun to write is gone at the next start.
func TestUnfinishedModulesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	m, err := openModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	if _, err := openModules(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still here: %v", err)
	}
	if list, err := m.list(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
