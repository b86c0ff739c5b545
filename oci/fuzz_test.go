package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// saidOrigin says the same, whatever it is asked for.
type saidOrigin struct {
	first  []byte // the top
	kind   types.MediaType
	next   []byte // every manifest behind an index
	config []byte
}

func (o saidOrigin) publisher() string { return "" }
func (o saidOrigin) Close() error      { return nil }
func (o saidOrigin) top(context.Context) (document, error) {
	return newDocument(o.first, o.kind)
}
func (o saidOrigin) manifest(context.Context, v1.Descriptor) ([]byte, error) {
	return o.next, nil
}
func (o saidOrigin) blob(context.Context, v1.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.config)), nil
}

var anyLinux = v1.Platform{OS: "linux", Architecture: "amd64"}

// believed fails when what resolve took breaks a promise that others rely on.
func believed(t *testing.T, o saidOrigin) {
	t.Helper()
	r, err := resolve(t.Context(), o, anyLinux)
	if err != nil {
		return
	}
	if len(r.manifest.Layers) == 0 || len(r.manifest.Layers) > maxLayers || len(r.config.RootFS.DiffIDs) != len(r.manifest.Layers) {
		t.Errorf("%d layers, %d diff ids", len(r.manifest.Layers), len(r.config.RootFS.DiffIDs))
	}
	for i, d := range r.manifest.Layers {
		if !isSHA256(d.Digest) || !isSHA256(r.config.RootFS.DiffIDs[i]) || d.Size < 0 || d.Size > maxBlob {
			t.Errorf("layer %+v, diff id %v", d, r.config.RootFS.DiffIDs[i])
		}
	}
	names := namesOf(r.config.RootFS.DiffIDs)[len(r.manifest.Layers)-1]
	own, chained := names.own, names.chained()
	if !isKey(own) || !isKey(chained) || strings.ContainsAny(own+chained, "/.") {
		t.Errorf("keys %q, %q", own, chained)
	}
	runnable(t, r.config.Config)
}

// runnable looks at what the config of any image may make of a run.
func runnable(t *testing.T, c v1.Config) {
	t.Helper()
	img := &Image{Config: c}
	for _, path := range img.Volumes() {
		if !strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path, "/"), "..") {
			t.Errorf("volume %q", path)
		}
	}
	img.ExposedPorts("tcp")
	img.StopSignal()
	p, err := img.Process(Overrides{})
	if err == nil && (strings.Contains(strings.Join(append(p.Args, p.Env...), ""), "\x00") || len(p.Args) == 0) {
		t.Errorf("process %+v", p)
	}
}

func rawSmall(f *testing.F) (manifest, config []byte) {
	img := small(f)
	manifest, err := img.RawManifest()
	config, confErr := img.RawConfigFile()
	if err := errors.Join(err, confErr); err != nil {
		f.Fatal(err)
	}
	return manifest, config
}

func FuzzManifest(f *testing.F) {
	manifest, config := rawSmall(f)
	f.Add(manifest)
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"layers":[{}],"manifests":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		believed(t, saidOrigin{first: raw, kind: types.DockerManifestSchema2, config: config})
	})
}

// FuzzIndex: whatever the index says, it is followed only to what it names.
func FuzzIndex(f *testing.F) {
	manifest, config := rawSmall(f)
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":1,"digest":"sha256:`+strings.Repeat("0", 64)+`","platform":{"os":"linux","architecture":"amd64"}}]}`), true)
	f.Add([]byte(`{"manifests":null}`), false)
	f.Fuzz(func(t *testing.T, raw []byte, itself bool) {
		o := saidOrigin{first: raw, kind: types.OCIImageIndex, next: manifest, config: config}
		if itself {
			o.next = raw
		}
		believed(t, o)
		if list, err := v1.ParseIndexManifest(bytes.NewReader(raw)); err == nil {
			_, _ = pick(list.Manifests, "x")
		}
	})
}

// FuzzConfig gives an image any config, with the digest that it has.
func FuzzConfig(f *testing.F) {
	_, config := rawSmall(f)
	f.Add(config)
	f.Add([]byte(`{"os":"linux","architecture":"amd64","config":{"User":"a:b","WorkingDir":"../..","Volumes":{"..":{}},"ExposedPorts":{"99999/tcp":{}},"StopSignal":"SIGRTMIN+99","Cmd":["\u0000"]},"rootfs":{"diff_ids":[]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		cf, err := v1.ParseConfigFile(bytes.NewReader(raw))
		if err != nil {
			return
		}
		runnable(t, cf.Config)
		digest, size, err := v1.SHA256(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		m := v1.Manifest{SchemaVersion: 2, Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: size}}
		for range min(len(cf.RootFS.DiffIDs), maxLayers+1) {
			m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCILayer, Digest: digest, Size: 1})
		}
		manifest, err := json.Marshal(m)
		if err != nil {
			return
		}
		believed(t, saidOrigin{first: manifest, kind: types.OCIManifestSchema1, config: raw})
	})
}
