package oci

import (
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/consentry/consentry/app"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestPullFromRegistry(t *testing.T) {
	host := serve(t)
	push(t, host+"/demo/web:1", small(t))
	s, _ := openTest(t)
	var mu sync.Mutex
	phases := map[string]bool{}
	img, err := s.Pull(t.Context(), source(t, host+"/demo/web:1"), PullOptions{Progress: func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		phases[p.Phase] = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/demo/web:1"; img.Ref != want || img.Publisher != "" || len(img.Layers) != 2 {
		t.Errorf("got %+v, want ref %s, no publisher (plain HTTP), two layers", img, want)
	}
	if got := readLayers(t, img, "bin/hello"); got != "hello" {
		t.Errorf("bin/hello holds %q", got)
	}
	for _, phase := range []string{"resolve", "download", "unpack"} {
		if !phases[phase] {
			t.Errorf("no progress of %s", phase)
		}
	}
	for _, ref := range []string{img.Ref, img.Digest, strings.TrimPrefix(img.Digest, "sha256:")[:12]} {
		if found, err := s.Lookup(ref); err != nil || found.Digest != img.Digest {
			t.Errorf("Lookup(%s) = %v, %v", ref, found, err)
		}
	}
	if _, err := s.Lookup("nothing:here"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Lookup of an unknown image: %v", err)
	}
}

func TestPullPolicy(t *testing.T) {
	host := serve(t)
	ref := host + "/app"
	push(t, ref, small(t))
	s, _ := openTest(t)
	if _, err := s.Pull(t.Context(), source(t, ref), PullOptions{Policy: PullNever}); !errors.Is(err, ErrNotFound) {
		t.Fatalf("never: %v", err)
	}
	first, err := s.Pull(t.Context(), source(t, ref), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	push(t, ref, imageOf(t, v1.Config{}, layerOf(t, file{name: "new", body: "new"})))
	again, err := s.Pull(t.Context(), source(t, ref), PullOptions{Policy: PullMissing})
	if err != nil || again.Digest != first.Digest {
		t.Errorf("missing went to the registry: %v, %v", again, err)
	}
	newer, err := s.Pull(t.Context(), source(t, ref), PullOptions{Policy: PullAlways})
	if err != nil || newer.Digest == first.Digest {
		t.Fatalf("always did not: %v, %v", newer, err)
	}
	// What ran before may still run: it stays, under its digest.
	old, err := s.Lookup(first.Digest)
	if err != nil || !strings.HasSuffix(old.Ref, "@"+first.Digest) {
		t.Fatalf("the image before: %+v, %v", old, err)
	}
	removed, freed, err := s.Prune(func(digest string) bool { return digest == newer.Digest })
	if err != nil || len(removed) != 1 || removed[0] != old.Ref || freed == 0 {
		t.Errorf("Prune = %q, %d, %v", removed, freed, err)
	}
	if readLayers(t, newer, "new") != "new" {
		t.Error("Prune took what is in use")
	}
}

func TestPullByDigestAndPlatform(t *testing.T) {
	host := serve(t)
	good := small(t)
	other, err := mutate.ConfigFile(good, &v1.ConfigFile{OS: "linux", Architecture: "s390x", RootFS: config(t, good).RootFS})
	if err != nil {
		t.Fatal(err)
	}
	here, err := platformOf("")
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: good, Descriptor: v1.Descriptor{Platform: &here}})
	ref, err := name.ParseReference(host + "/multi:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	s, _ := openTest(t)
	img, err := s.Pull(t.Context(), source(t, ref.String()), PullOptions{})
	if want, _ := good.Digest(); err != nil || img.Digest != want.String() || img.Platform != here.String() {
		t.Fatalf("got %+v, %v, want %s", img, err, want)
	}
	indexDigest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	pinned := host + "/multi@" + indexDigest.String()
	if img, err := s.Pull(t.Context(), source(t, pinned), PullOptions{}); err != nil || img.Ref != pinned {
		t.Errorf("pinned: %v, %v", img, err)
	}
	if img, err := s.Pull(t.Context(), source(t, ref.String()), PullOptions{Platform: "linux/s390x"}); err != nil || img.Platform != "linux/s390x" {
		t.Errorf("other platform: %v, %v", img, err)
	}
	_, err = s.Pull(t.Context(), source(t, ref.String()), PullOptions{Platform: "linux/riscv64"})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("missing platform: %v, want the ones there are", err)
	}
}

func TestPullFromFiles(t *testing.T) {
	img := small(t)
	dir := writeLayout(t, img)
	archive := pack(t, dir)
	save, err := os.ReadFile(writeSave(t, img))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, path, digest string }{
		{"layout", dir, digest.String()},
		{"oci archive", write(t, "a.tar", archive), digest.String()},
		{"oci archive, gzip", write(t, "a.tar.gz", gz(t, archive)), digest.String()},
		{"oci archive, zstd", write(t, "a.tar.zst", zst(t, archive)), digest.String()},
		{"docker archive", write(t, "d.tar", save), ""},
		{"docker archive by tag", write(t, "d.tar", save) + ":1", ""},
		{"docker archive, gzip", write(t, "d.tar.gz", gz(t, save)), ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, store := openTest(t)
			got, err := s.Pull(t.Context(), source(t, c.path), PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if c.digest != "" && got.Digest != c.digest {
				t.Errorf("digest %s, want %s", got.Digest, c.digest)
			}
			if readLayers(t, got, "bin/hello") != "hello" {
				t.Error("wrong content")
			}
			before := listing(t, store)
			if again, err := s.Pull(t.Context(), source(t, c.path), PullOptions{}); err != nil || again.Digest != got.Digest {
				t.Errorf("second pull: %v, %v", again, err)
			}
			sameListing(t, store, before)
			if _, err := s.Remove(got.Ref, nil); err != nil {
				t.Fatal(err)
			}
			if left := listing(t, filepath.Join(store, layersDir)); len(left) != 1 {
				t.Errorf("layers left after Remove: %q", left)
			}
		})
	}
}

func TestZstdAndPlainLayers(t *testing.T) {
	raw := tarOf(t, file{name: "f", body: strings.Repeat("consent ", 1000)})
	for _, c := range []struct {
		what string
		blob []byte
		kind types.MediaType
	}{
		{"zstd", zst(t, raw), types.OCILayerZStd},
		{"plain", raw, types.OCIUncompressedLayer},
		{"gzip said to be plain", gz(t, raw), types.OCIUncompressedLayer},
	} {
		t.Run(c.what, func(t *testing.T) {
			host := serve(t)
			dir := rawLayout(t, c.kind, c.blob, raw)
			s, _ := openTest(t)
			img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := readLayers(t, img, "f"); len(got) != 8000 {
				t.Errorf("f has %d bytes", len(got))
			}
			_ = host
		})
	}
}

func TestRefusedFormats(t *testing.T) {
	img := small(t)
	layoutDir := writeLayout(t, img)
	archive := pack(t, layoutDir)
	wrong := writeLayout(t, img)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(wrong, "blobs", "sha256", digest.Hex)
	if raw, err := os.ReadFile(manifest); err != nil || os.WriteFile(manifest, append(raw, ' '), 0o600) != nil {
		t.Fatal("cannot damage the manifest")
	}
	badLayer := writeLayout(t, img)
	first := v1.Hash{}
	if layers, err := img.Layers(); err == nil {
		first, err = layers[1].Digest()
		if err != nil {
			t.Fatal(err)
		}
	}
	blob := filepath.Join(badLayer, "blobs", "sha256", first.Hex)
	if raw, err := os.ReadFile(blob); err != nil || os.WriteFile(blob, flip(raw), 0o600) != nil {
		t.Fatal("cannot damage the layer")
	}
	plainTar := tarOf(t, file{name: "x", body: "y"})
	context := t.TempDir()
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, path string
		is         error
		says       []string
	}{
		{"ELF", write(t, "app", []byte("\x7fELF\x02\x01\x01")), ErrFormat, []string{"an ELF executable"}},
		{"zip", write(t, "app.zip", []byte("PK\x03\x04aaaa")), ErrFormat, []string{"a zip archive"}},
		{"component", write(t, "c.wasm", []byte("\x00asm\x0d\x00\x01\x00")), ErrFormat, []string{"component"}},
		{"empty", write(t, "empty", nil), ErrFormat, []string{"an empty file"}},
		{"text", write(t, "text", []byte("hello")), ErrFormat, []string{"unknown type"}},
		{"gzip of an ELF", write(t, "app.gz", gz(t, []byte("\x7fELF\x02\x01\x01"))), ErrFormat, []string{"an ELF executable"}},
		{"other tar", write(t, "x.tar", plainTar), ErrFormat, []string{"without index.json or manifest.json"}},
		{"truncated archive", write(t, "t.tar", archive[:len(archive)/2]), ErrCorrupt, []string{"archive"}},
		{"truncated gzip", write(t, "t.tgz", cutHalf(gz(t, archive))), ErrCorrupt, nil},
		{"directory", t.TempDir(), ErrFormat, []string{"without an oci-layout file"}},
		{"build context", context, ErrFormat, []string{"build an image"}},
		{"manifest with another digest", wrong, ErrCorrupt, []string{digest.String()}},
		{"layer with another digest", badLayer, ErrCorrupt, []string{first.String()}},
		{"schema 1", schema1(t), ErrFormat, []string{"schema 1"}},
		{"foreign layer", rawLayout(t, types.DockerForeignLayer, gz(t, plainTar), plainTar), ErrFormat, []string{"foreign"}},
		{"unknown layer", rawLayout(t, "application/x-thing", gz(t, plainTar), plainTar), ErrFormat, []string{"application/x-thing"}},
		{"wrong diff id", rawLayout(t, types.OCILayer, gz(t, plainTar), tarOf(t)), ErrCorrupt, []string{"the config says"}},
		{"truncated layer", rawLayout(t, types.OCILayer, cutHalf(gz(t, plainTar)), plainTar), ErrCorrupt, []string{"ends early"}},
		{"layer that is no tar", rawLayout(t, types.OCILayer, gz(t, []byte(strings.Repeat("no tar ", 200))), plainTar), nil, []string{"tar"}},
		{"bad rights", writeLayout(t, imageOf(t, v1.Config{Labels: map[string]string{app.ManifestLabel: `{"version":1,"rihgts":[]}`}}, layerOf(t, file{name: "f"}))), nil,
			[]string{"label dev.consentry.manifest", "rihgts"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, store := openTest(t)
			before := listing(t, store)
			_, err := s.Pull(t.Context(), source(t, c.path), PullOptions{})
			if err == nil {
				t.Fatal("pulled")
			}
			t.Log(err)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %q does not wrap %q", err, c.is)
			}
			if errors.Is(c.is, ErrFormat) {
				c.says = append(c.says, "an OCI image or a WebAssembly module")
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			sameListing(t, store, before)
		})
	}
}

// A folder that has not changed is looked at, and nothing is written for it; what
// the store has lost of it is fetched again.
func TestPullOfTheSameFolder(t *testing.T) {
	dir := writeLayout(t, small(t))
	s, store := openTest(t)
	pull := func(opt PullOptions) *Image {
		t.Helper()
		img, err := s.Pull(t.Context(), source(t, dir), opt)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	first := pull(PullOptions{})
	record := filepath.Join(store, recordName(first.Ref))
	before, err := os.Stat(record)
	if err != nil {
		t.Fatal(err)
	}
	if again := pull(PullOptions{}); again.Digest != first.Digest || !again.Pulled.Equal(first.Pulled) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if after, err := os.Stat(record); err != nil || !os.SameFile(before, after) {
		t.Errorf("its record was written again: %v", err)
	}
	s.work.Wait() // it marks the layers
	if err := os.RemoveAll(filepath.Dir(first.Layers[0])); err != nil {
		t.Fatal(err)
	}
	if healed := pull(PullOptions{}); readLayers(t, healed, "bin/hello") != "hello" {
		t.Error("a layer that was lost was not fetched again")
	}
	before, err = os.Stat(record)
	if err != nil {
		t.Fatal(err)
	}
	pull(PullOptions{Policy: PullAlways})
	if after, err := os.Stat(record); err != nil || os.SameFile(before, after) {
		t.Errorf("always wrote nothing: %v", err)
	}
}
