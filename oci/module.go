package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/app"
)

// ErrModule: what a source names is a WebAssembly module, which Module fetches.
var ErrModule = errors.New("a WebAssembly module, not an image")

// moduleTypes are the layer types under which modules are pushed: those of the
// CNCF's wasm artifact layout, wasm-to-oci, ORAS, Extism and Fermyon.
var moduleTypes = []types.MediaType{
	"application/wasm",
	"application/vnd.wasm.content.layer.v1+wasm",
	"application/vnd.module.wasm.content.layer.v1+wasm",
	"application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
}

// Module is what a source said about the module it gave.
type Module struct {
	Name      string // for people: the repository, or the name of a file
	Digest    string // of the module itself, which is its identity
	Publisher string // as of an Image
	Size      int64  // bytes
	Manifest  *app.Manifest
}

// Module writes the one module of src to w. The caller throws away what was
// written if an error comes.
func (s *Store) Module(ctx context.Context, src Source, limit int64, w io.Writer, opt PullOptions) (*Module, error) {
	o, err := s.open(ctx, src, opt.Registries)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", src, err)
	}
	m, err := fetchModule(ctx, src, o, limit, w, opt)
	if err = errors.Join(err, o.Close()); err != nil {
		return nil, fmt.Errorf("pull %s: %w", src, err)
	}
	m.Name = src.Repository()
	return m, nil
}

func fetchModule(ctx context.Context, src Source, o origin, limit int64, w io.Writer, opt PullOptions) (*Module, error) {
	want, err := platformOf("")
	if err != nil {
		return nil, err
	}
	var artifact *artifact
	r, err := resolve(ctx, o, want)
	if !errors.As(err, &artifact) {
		return nil, errors.Join(err, notFormat("the artifact", "an image, and no module"))
	}
	publisher := o.publisher()
	if opt.Verify != nil {
		if err := r.verify(ctx, o, src, opt.Verify); err != nil {
			return nil, err
		}
		publisher = PublisherOf(opt.Verify)
	}
	layer := artifact.layer
	if layer.Size < 0 || layer.Size > limit {
		return nil, fmt.Errorf("the module is said to be %d bytes; at most %d MiB are taken", layer.Size, limit>>20)
	}
	manifest, err := rights(nil, artifact.annotations)
	if err != nil {
		return nil, err
	}
	body, err := o.blob(ctx, layer)
	if err != nil {
		return nil, err
	}
	m := &meter{report: opt.Progress, phase: "download", item: layer.Digest.Hex[:12], total: layer.Size}
	sum := newSummed(metered{&exactly{r: body, left: layer.Size}, m})
	_, err = io.Copy(w, sum)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, cut(err)
	}
	if sum.n.Load() != layer.Size || sum.digest() != layer.Digest.String() {
		return nil, corrupt("module %s: got %d bytes with digest %s", layer.Digest, sum.n.Load(), sum.digest())
	}
	m.finish()
	return &Module{Digest: sum.digest(), Publisher: publisher, Size: sum.n.Load(), Manifest: manifest}, nil
}

// artifact is the error of resolve for a module.
type artifact struct {
	layer       v1.Descriptor
	annotations map[string]string
}

func (*artifact) Error() string { return ErrModule.Error() }
func (*artifact) Unwrap() error { return ErrModule }

// asModule returns an *artifact if manifest holds a module; what is pushed
// beside it, such as a text about it, is left alone.
func asModule(manifest *v1.Manifest) error {
	var modules []v1.Descriptor
	for _, d := range manifest.Layers {
		kind, _, _ := strings.Cut(string(d.MediaType), ";")
		if slices.Contains(moduleTypes, types.MediaType(kind)) {
			modules = append(modules, d)
		}
	}
	switch {
	case len(modules) == 0:
		return nil
	case len(modules) > 1:
		return notFormat("the artifact", fmt.Sprintf("%d modules; an app is one", len(modules)))
	case !isSHA256(modules[0].Digest):
		return corrupt("the module's digest %.100q is no sha256 digest", modules[0].Digest)
	}
	return &artifact{layer: modules[0], annotations: manifest.Annotations}
}
