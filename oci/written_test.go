package oci

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocidir "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

func config(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return cf
}

func writeLayout(t *testing.T, img v1.Image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	p, err := ocidir.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeSave(t *testing.T, img v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("demo/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	return path
}

// pack makes a tar archive of a directory.
func pack(t *testing.T, dir string) []byte {
	t.Helper()
	var files []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		files = append(files, file{name: rel, body: string(raw)})
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, files...)
}

func write(t *testing.T, name string, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gz(t *testing.T, raw []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(raw)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zst(t *testing.T, raw []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(raw, nil)
}

func cutHalf(raw []byte) []byte { return raw[:len(raw)/2] }

func flip(raw []byte) []byte {
	raw[len(raw)-12] ^= 1
	return raw
}

// rawLayout writes a layout by hand: one layer of any type, any bytes, and a
// config with the diff id of diff.
func rawLayout(t *testing.T, kind types.MediaType, blob, diff []byte) string {
	t.Helper()
	dir := t.TempDir()
	here, err := platformOf("")
	if err != nil {
		t.Fatal(err)
	}
	conf := `{"os":"linux","architecture":"` + here.Architecture + `","config":{"Cmd":["/x"]},"rootfs":{"type":"layers","diff_ids":["` + sum(t, diff).String() + `"]}}`
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + desc(t, "application/vnd.oci.image.config.v1+json", []byte(conf)) +
		`,"layers":[` + desc(t, kind, blob) + `]}`
	putLayout(t, dir, types.OCIManifestSchema1, []byte(manifest), []byte(conf), blob)
	return dir
}

func schema1(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	putLayout(t, dir, types.DockerManifestSchema1Signed, []byte(`{"schemaVersion":1,"name":"old","fsLayers":[]}`))
	return dir
}

func putLayout(t *testing.T, dir string, kind types.MediaType, manifest []byte, blobs ...[]byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, raw := range append(blobs, manifest) {
		if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", sum(t, raw).Hex), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	index := `{"schemaVersion":2,"manifests":[` + desc(t, kind, manifest) + `]}`
	err := errors.Join(os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func sum(t *testing.T, raw []byte) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func desc(t *testing.T, kind types.MediaType, raw []byte) string {
	return `{"mediaType":"` + string(kind) + `","size":` + strconv.Itoa(len(raw)) + `,"digest":"` + sum(t, raw).String() + `"}`
}
