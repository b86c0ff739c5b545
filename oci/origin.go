package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bounds on what describes an image.
const (
	maxManifest = 4 << 20 // bytes, of a manifest or index; registries take as much
	maxConfig   = 8 << 20
	maxIndexes  = 4 // nested
	// maxLayers is far above every image that people run; see maxStack.
	maxLayers = 1500
	// maxBlob is the largest compressed layer.
	maxBlob = 64 << 30
)

// origin is a place that has an image. Only top is trusted to name it; all
// else is asked for by digest and checked by the caller.
type origin interface {
	// top returns the image's manifest or index.
	top(context.Context) (document, error)
	// manifest returns the manifest or index d.
	manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	// blob opens a config or layer. Its bytes are not checked.
	blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	// publisher is who TLS vouched for, "" when nobody did.
	publisher() string
	io.Closer
}

// document is a manifest or index with its type and true digest.
type document struct {
	raw    []byte
	kind   types.MediaType
	digest v1.Hash
}

func newDocument(raw []byte, kind types.MediaType) (document, error) {
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return document{}, err
	}
	var self struct {
		MediaType types.MediaType   `json:"mediaType"`
		Schema    int               `json:"schemaVersion"`
		Manifests []json.RawMessage `json:"manifests"`
		Layers    []json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(raw, &self); err != nil {
		return document{}, corrupt("manifest %s: %w", digest, err)
	}
	switch {
	case self.Manifests != nil && self.Layers != nil: // CVE-2021-41190
		return document{}, corrupt("%s is said to be both a manifest and an index", digest)
	case self.MediaType != "":
		kind = self.MediaType
	case self.Schema == 1:
		kind = types.DockerManifestSchema1
	case self.Manifests != nil:
		kind = types.OCIImageIndex
	case !kind.IsImage() && self.Layers != nil:
		kind = types.OCIManifestSchema1
	}
	return document{raw: raw, kind: kind, digest: digest}, nil
}

// resolved is everything that describes one image.
type resolved struct {
	digest   v1.Hash // of the manifest
	index    v1.Hash // of the index it was found in, zero without
	raw      []byte  // the manifest
	manifest *v1.Manifest
	rawConf  []byte
	config   *v1.ConfigFile
}

// resolve follows indexes down to the image for want and reads its config.
func resolve(ctx context.Context, o origin, want v1.Platform) (*resolved, error) {
	doc, err := o.top(ctx)
	if err != nil {
		return nil, err
	}
	r := &resolved{}
	for depth := 0; doc.kind.IsIndex(); depth++ {
		if depth == maxIndexes {
			return nil, fmt.Errorf("more than %d nested indexes: %w", maxIndexes, ErrCorrupt)
		}
		if depth == 0 {
			r.index = doc.digest
		}
		if doc, err = descend(ctx, o, doc, want); err != nil {
			return nil, err
		}
	}
	if doc.kind.IsSchema1() {
		return nil, notFormat("the image", "in docker's schema 1, given up in 2017; push it again with a current tool")
	}
	if !doc.kind.IsImage() {
		return nil, notFormat("the manifest", fmt.Sprintf("of type %.100q", doc.kind))
	}
	return r, r.read(ctx, o, doc, want)
}

func descend(ctx context.Context, o origin, doc document, want v1.Platform) (document, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(doc.raw))
	if err != nil {
		return document{}, corrupt("index %s: %w", doc.digest, err)
	}
	d, err := choose(index, want)
	if err != nil {
		return document{}, err
	}
	raw, err := o.manifest(ctx, d)
	if err != nil {
		return document{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	child, err := newDocument(raw, d.MediaType)
	if err != nil {
		return document{}, err
	}
	if child.digest != d.Digest {
		return document{}, corrupt("manifest %s has digest %s", d.Digest, child.digest)
	}
	return child, nil
}

func (r *resolved) read(ctx context.Context, o origin, doc document, want v1.Platform) (err error) {
	r.raw, r.digest = doc.raw, doc.digest
	if r.manifest, err = v1.ParseManifest(bytes.NewReader(doc.raw)); err != nil {
		return corrupt("manifest %s: %w", doc.digest, err)
	}
	if err := asModule(r.manifest); err != nil {
		return err
	}
	if err := checkManifest(r.manifest); err != nil {
		return err
	}
	if r.rawConf, err = readBlob(ctx, o, r.manifest.Config, maxConfig); err != nil {
		return fmt.Errorf("config %s: %w", r.manifest.Config.Digest, err)
	}
	if r.config, err = v1.ParseConfigFile(bytes.NewReader(r.rawConf)); err != nil {
		return corrupt("config %s: %w", r.manifest.Config.Digest, err)
	}
	if have := r.config.Platform(); !fits(want, have) {
		return fmt.Errorf("the image is for %s, not for %s (--platform picks another): %w", have, want.String(), ErrNotFound)
	}
	return r.checkLayers()
}

// checkManifest refuses what is no image, and what nobody may hand out.
func checkManifest(m *v1.Manifest) error {
	if !m.Config.MediaType.IsConfig() {
		return notFormat("the manifest", fmt.Sprintf("of an artifact of type %.100q", m.Config.MediaType))
	}
	if len(m.Layers) > maxLayers {
		return fmt.Errorf("the image has %d layers, more than %d", len(m.Layers), maxLayers)
	}
	if !isSHA256(m.Config.Digest) {
		return corrupt("the config's digest %.100q is no sha256 digest", m.Config.Digest)
	}
	for i, d := range m.Layers {
		switch {
		case !isSHA256(d.Digest):
			return corrupt("the digest %.100q of layer %d is no sha256 digest", d.Digest, i+1)
		case !d.MediaType.IsDistributable():
			return notFormat(fmt.Sprintf("layer %d", i+1), "a foreign layer, which its registry does not have (a Windows base?)")
		case !isLayerType(d.MediaType):
			return notFormat(fmt.Sprintf("layer %d", i+1), fmt.Sprintf("of type %.100q", d.MediaType))
		case d.Size < 0 || d.Size > maxBlob:
			return corrupt("layer %s is said to be %d bytes", d.Digest, d.Size)
		}
	}
	return nil
}

// dockerZstd is written by buildkit for docker media types; no specification has it.
const dockerZstd types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

func isLayerType(t types.MediaType) bool { return t.IsLayer() || t == dockerZstd }

func (r *resolved) checkLayers() error {
	ids := r.config.RootFS.DiffIDs
	if len(ids) != len(r.manifest.Layers) {
		return corrupt("the config has %d diff ids for %d layers", len(ids), len(r.manifest.Layers))
	}
	if len(ids) == 0 {
		return notFormat("the image", "empty, it has no layers")
	}
	for _, id := range ids {
		if !isSHA256(id) {
			return corrupt("diff id %.100q is no sha256 digest", id)
		}
	}
	return nil
}

// isSHA256 also keeps anything but hex out of file names.
func isSHA256(h v1.Hash) bool {
	_, err := v1.NewHash(h.String())
	return err == nil && h.Algorithm == "sha256"
}

// readBlob reads a small blob whole and checks it.
func readBlob(ctx context.Context, o origin, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size < 0 || d.Size > limit {
		return nil, corrupt("said to be %d bytes, more than %d", d.Size, limit)
	}
	body, err := o.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(body, d.Size+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, cut(err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if size != d.Size || digest != d.Digest {
		return nil, corrupt("%d bytes with digest %s, want %d bytes", size, digest, d.Size)
	}
	return raw, nil
}

// cut names an early end for what it is.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("ends early: %w", err)
	}
	return err
}
