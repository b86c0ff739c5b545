//go:build linux

package story

import (
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// variant is the test image with another config, and more layers, as a layout.
func variant(t *testing.T, name string, change func(*v1.Config), layers ...v1.Layer) string {
	t.Helper()
	if built.skip != "" {
		t.Skip(built.skip)
	}
	img := testImage(t)
	img, err := mutate.AppendLayers(img, layers...)
	must(t, err)
	file, err := img.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	change(&file.Config)
	img, err = mutate.ConfigFile(img, file)
	must(t, err)
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2), types.DockerConfigJSON) // OCI's has no health check
	dir := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("cp", "-al", built.image, dir).CombinedOutput() // its layers are there already
	if err != nil {
		t.Fatalf("copy the image: %v: %s", err, out)
	}
	must(t, exec.Command("rm", filepath.Join(dir, "index.json")).Run())
	path, err := layout.Write(dir, empty.Index)
	must(t, err)
	must(t, path.AppendImage(img))
	return dir
}

func testImage(t *testing.T) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(built.image)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	img, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	return img
}
