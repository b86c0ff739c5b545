//go:build unix

package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// moduleRegistry is an empty registry; asked counts the calls to it.
func moduleRegistry(t *testing.T) (host string, asked *atomic.Int64) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	asked = &atomic.Int64{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), asked
}

// push puts a module, different for each salt, into a registry.
func (w *testAgent) push(ref, salt string) (digest string) {
	w.t.Helper()
	raw, err := os.ReadFile(w.module("hello.wasm", salt))
	if err != nil {
		w.t.Fatal(err)
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.wasm.config.v0+json"),
		mutate.Addendum{Layer: static.NewLayer(raw, "application/wasm")})
	if err != nil {
		w.t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A module of a registry runs by its digest, is kept, and is asked for again
// only when the user wants that.
func TestAModuleOfARegistry(t *testing.T) {
	w := newTestAgent(t)
	ran := make(chan sandbox.Spec, 1)
	w.host.run = func(spec sandbox.Spec, _ sandbox.Broker) int { ran <- spec; return 0 }
	host, asked := moduleRegistry(t)
	ref := host + "/tools/hello:1"
	push := func(salt string) (digest string) { return w.push(ref, salt) }
	runs := func(pull, digest string) {
		t.Helper()
		w.runs(w.run(api.RunRequest{Source: ref, Pull: pull, Call: &api.ModuleCall{Function: "f"}}))
		spec := <-ran
		if spec.Module == nil || spec.Module.Digest != digest || spec.Image != nil || spec.Module.Call == nil {
			t.Errorf("ran %+v, want module %s", spec, digest)
		}
		raw, err := os.ReadFile(spec.Module.Path)
		if sum := sha256.Sum256(raw); err != nil || "sha256:"+hex.EncodeToString(sum[:]) != digest {
			t.Errorf("the file that runs is not %s (%v)", digest, err)
		}
	}
	first := push("one")
	runs("", first)
	second := push("two")
	before := asked.Load()
	runs("", first)
	runs("never", first)
	if n := asked.Load() - before; n != 0 {
		t.Errorf("the registry was asked %d times for what is here", n)
	}
	runs("always", second)
	runs("never", second)
}
