package oci

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const testModule = "\x00asm\x01\x00\x00\x00"

// moduleArtifact is what oras and wasm-to-oci push.
func moduleArtifact(t *testing.T, config types.MediaType, layers map[string]types.MediaType) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), config)
	for body, kind := range layers {
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: static.NewLayer([]byte(body), kind)}); err != nil {
			t.Fatal(err)
		}
	}
	note := map[string]string{"dev.consentry.manifest": `{"version":1,"name":"tool","rights":[]}`}
	return mutate.Annotations(img, note).(v1.Image) //nolint:errcheck // it is what went in
}

// Every usual form of a module in a real registry is recognised, fetched and
// checked; nothing of it is taken for an image.
func TestModulesOfARegistry(t *testing.T) {
	host := debianRegistry(t, "ann", "secret")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	logIn(t, host, "ann:secret")
	s, store := openTest(t)
	before := listing(t, store)
	push := func(tag string, img v1.Image) Source {
		src := source(t, host+"/tools/"+tag+":1")
		if err := remote.Write(src.Ref, img, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			t.Fatal(err)
		}
		return src
	}
	for tag, c := range map[string]struct{ config, layer types.MediaType }{
		"cncf":        {"application/vnd.wasm.config.v0+json", "application/wasm"},
		"wasm-to-oci": {"application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm"},
		"module":      {"application/vnd.oci.empty.v1+json", "application/vnd.module.wasm.content.layer.v1+wasm"},
		"config":      {types.OCIConfigJSON, "application/vnd.wasm.content.layer.v1+wasm"},
	} {
		src := push(tag, moduleArtifact(t, c.config, map[string]types.MediaType{testModule: c.layer, "about it": "text/plain"}))
		if _, err := s.Pull(t.Context(), src, PullOptions{}); !errors.Is(err, ErrModule) {
			t.Errorf("%s: pulled as an image: %v", tag, err)
		}
		var got bytes.Buffer
		m, err := s.Module(t.Context(), src, 1<<20, &got, PullOptions{})
		if err != nil || got.String() != testModule {
			t.Fatalf("%s: %q, %v", tag, got.String(), err)
		}
		sum, _, err := v1.SHA256(strings.NewReader(testModule))
		if err != nil || m.Digest != sum.String() || m.Name != host+"/tools/"+tag || m.Publisher != "" || m.Manifest == nil {
			t.Errorf("%s: %+v, %v", tag, m, err)
		}
		if _, err := s.Module(t.Context(), src, 4, &got, PullOptions{}); err == nil || !strings.Contains(err.Error(), "said to be 8 bytes") {
			t.Errorf("%s: larger than allowed: %v", tag, err)
		}
	}
	two := push("two", moduleArtifact(t, "application/vnd.wasm.config.v0+json", map[string]types.MediaType{testModule: "application/wasm", "other": "application/wasm"}))
	if _, err := s.Pull(t.Context(), two, PullOptions{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "2 modules") {
		t.Errorf("two modules: %v", err)
	}
	if _, err := s.Module(t.Context(), push("image", small(t)), 1<<20, &bytes.Buffer{}, PullOptions{}); !errors.Is(err, ErrFormat) {
		t.Errorf("an image for a module: %v", err)
	}
	sameListing(t, store, before)
}

// A registry that sends other bytes than its manifest says gives nothing.
func TestModuleIsChecked(t *testing.T) {
	var on atomic.Bool
	host, s := flaky(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.Write([]byte("\x00asm\x02\x00\x00\x00")) //nolint:errcheck // the client sees it
		return true
	})
	ref, err := name.ParseReference(host + "/tool")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, moduleArtifact(t, "application/vnd.wasm.config.v0+json", map[string]types.MediaType{testModule: "application/wasm"})); err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	if _, err := s.Module(t.Context(), source(t, host+"/tool"), 1<<20, &bytes.Buffer{}, PullOptions{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other bytes: %v", err)
	}
}
