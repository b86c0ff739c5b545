package oci

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dockerSave is an origin in the format of "docker save". It has no manifest of
// its own: one is made from what it holds, the same each time.
type dockerSave struct {
	files
	raw   []byte            // the manifest made up
	names map[string]string // digest → name in the archive
}

// savedImage is one member of manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func openDockerSave(ctx context.Context, from files, tag string) (origin, error) {
	raw, err := readFile(from, "manifest.json", maxManifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest.json: %w", err)
	}
	var all []savedImage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, corrupt("manifest.json: %w", err)
	}
	img, err := pickSaved(all, tag)
	if err != nil {
		return nil, err
	}
	d := &dockerSave{files: from, names: map[string]string{}}
	return d, d.describe(ctx, img)
}

func pickSaved(all []savedImage, tag string) (savedImage, error) {
	var found []savedImage
	var names []string
	for _, img := range all {
		names = append(names, img.RepoTags...)
		named := func(t string) bool { return t == tag || strings.HasSuffix(t, ":"+tag) }
		if tag == "" || slices.ContainsFunc(img.RepoTags, named) {
			found = append(found, img)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return savedImage{}, fmt.Errorf("the archive has no image named %q, only %q: %w", tag, names, ErrNotFound)
	}
	return savedImage{}, fmt.Errorf("the archive holds %d images; name one as PATH:TAG, of %q: %w", len(found), names, ErrNotFound)
}

// describe makes the manifest.
func (d *dockerSave) describe(ctx context.Context, img savedImage) error {
	if len(img.Layers) > maxLayers {
		return fmt.Errorf("the image has %d layers, more than %d", len(img.Layers), maxLayers)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2}
	var err error
	if m.Config, err = d.member(ctx, img.Config, types.DockerConfigJSON); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	for i, name := range img.Layers {
		layer, err := d.member(ctx, name, types.DockerUncompressedLayer)
		if err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		m.Layers = append(m.Layers, layer)
	}
	d.raw, err = json.Marshal(m)
	return err
}

// member is the descriptor of a file in the archive, which is read for it.
func (d *dockerSave) member(ctx context.Context, name string, kind types.MediaType) (v1.Descriptor, error) {
	name = path.Clean(name)
	f, size, err := d.open(name)
	if err != nil {
		return v1.Descriptor{}, missing(err)
	}
	peek := bufio.NewReaderSize(f, 1<<20)
	head, err := peek.Peek(4)
	if err == nil && kind == types.DockerUncompressedLayer && compressionOf(head) != plain {
		kind = types.DockerLayer
	}
	digest, _, err := v1.SHA256(ctxReader{ctx, peek})
	if err := errors.Join(err, f.Close()); err != nil {
		return v1.Descriptor{}, err
	}
	d.names[digest.String()] = name
	return v1.Descriptor{MediaType: kind, Size: size, Digest: digest}, nil
}

func (d *dockerSave) publisher() string { return "" }

func (d *dockerSave) top(context.Context) (document, error) {
	return newDocument(d.raw, types.DockerManifestSchema2)
}

func (d *dockerSave) manifest(_ context.Context, desc v1.Descriptor) ([]byte, error) {
	return nil, corrupt("a docker archive has no manifest %s", desc.Digest)
}

func (d *dockerSave) blob(_ context.Context, desc v1.Descriptor) (io.ReadCloser, error) {
	name, is := d.names[desc.Digest.String()]
	if !is {
		return nil, corrupt("blob %s is not in the archive", desc.Digest)
	}
	f, _, err := d.open(name)
	return f, err
}
