package oci

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// hostile is one image of the corpus, which goes on with the layers of
// oci/unpack's TestHostile. CANARY in it stands for a tree of the host.
type hostile struct {
	what   string
	layout func(t *testing.T, canary string) string
	says   string                                      // refused, and the error says so
	then   func(t *testing.T, canary string, i *Image) // else contained: what must hold
}

// layoutOf writes a layout of parts that need not fit each other. In the
// manifest CONFIG and LAYER stand for the descriptors of the two.
func layoutOf(t *testing.T, manifest, config string, layer []byte) string {
	t.Helper()
	dir := t.TempDir()
	config = strings.ReplaceAll(config, "DIFF", sum(t, layer).String())
	manifest = strings.ReplaceAll(manifest, "CONFIG", desc(t, "application/vnd.oci.image.config.v1+json", []byte(config)))
	manifest = strings.ReplaceAll(manifest, "LAYER", desc(t, types.OCIUncompressedLayer, layer))
	putLayout(t, dir, types.OCIManifestSchema1, []byte(manifest), []byte(config), layer)
	return dir
}

const (
	plainManifest = `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER]}`
	plainConfig   = `{"os":"linux","architecture":"amd64","config":{"Cmd":["/x"]},"rootfs":{"type":"layers","diff_ids":["DIFF"]}}`
)

// parts is a layout of a good layer with another manifest or config.
func parts(manifest, config string) func(*testing.T, string) string {
	return func(t *testing.T, _ string) string {
		return layoutOf(t, manifest, config, tarOf(t, file{name: "f", body: "f"}))
	}
}

// packedAs is a layout of a layer with these bytes.
func packedAs(kind types.MediaType, blob func(t *testing.T) []byte) func(*testing.T, string) string {
	return func(t *testing.T, _ string) string { return rawLayout(t, kind, blob(t), tarOf(t)) }
}

// files is a layout of good parts, with CANARY in names and links.
func filesOf(config v1.Config, all ...file) func(*testing.T, string) string {
	return func(t *testing.T, canary string) string {
		here := slices.Clone(all)
		for i := range here {
			here[i].link = strings.ReplaceAll(here[i].link, "CANARY", canary)
		}
		return writeLayout(t, imageOf(t, config, layerOf(t, here...)))
	}
}

// times repeats a member or frame: a bomb that costs nothing to make.
func times(n int, part []byte) []byte { return bytes.Repeat(part, n) }

// sparseTar holds an old GNU sparse file that claims size bytes and has none.
func sparseTar(t *testing.T, size uint64) []byte {
	t.Helper()
	raw := tarOf(t, file{name: "sparse"})
	raw[156] = 'S'
	copy(raw[257:], "ustar  \x00")
	clear(raw[386:500])
	for _, at := range []int{386, 483} { // where the only piece begins, and the size
		raw[at] = 0x80
		binary.BigEndian.PutUint64(raw[at+4:], size)
	}
	copy(raw[398:], "00000000000\x00")
	return checksummed(raw)
}

// longHeader holds a PAX header that claims 64 MiB, and has them.
func longHeader(t *testing.T) []byte {
	t.Helper()
	raw := tarOf(t, file{name: "f"})
	raw[156] = 'x'
	copy(raw[124:136], fmt.Sprintf("%011o\x00", 64<<20))
	return append(checksummed(raw)[:512], make([]byte, 65<<20)...)
}

func checksummed(raw []byte) []byte {
	copy(raw[148:156], "        ")
	total := 0
	for _, b := range raw[:512] {
		total += int(b)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", total))
	return raw
}

func repeated(part string, n int) string { return strings.TrimSuffix(strings.Repeat(part+",", n), ",") }

// corpus of images that are hostile as a whole.
var corpus = []hostile{
	{"config without diff ids", parts(plainManifest, strings.Replace(plainConfig, `"DIFF"`, "", 1)), "diff ids", nil},
	{"config without rootfs", parts(plainManifest, `{"os":"linux","architecture":"amd64"}`), "diff ids", nil},
	{"diff id of another layer", parts(plainManifest, strings.Replace(plainConfig, "DIFF", "sha256:"+strings.Repeat("0", 64), 1)), "the config says", nil},
	{"diff id that climbs", parts(plainManifest, strings.Replace(plainConfig, "DIFF", "sha256:../../../etc/passwd", 1)), "", nil},
	{"layer digest that climbs", parts(strings.Replace(plainManifest, "LAYER", `{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":4,"digest":"sha256:../../../../etc/passwd"}`, 1), plainConfig), "", nil},
	{"config digest that climbs", parts(strings.Replace(plainManifest, "CONFIG", `{"mediaType":"application/vnd.oci.image.config.v1+json","size":4,"digest":"sha256:../../../../etc/passwd"}`, 1), plainConfig), "", nil},
	{"layer of negative size", parts(strings.Replace(plainManifest, "LAYER", `{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":-1,"digest":"sha256:`+strings.Repeat("0", 64)+`"}`, 1), plainConfig), "bytes", nil},
	{"layer of 2^62 bytes", parts(strings.Replace(plainManifest, "LAYER", `{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":4611686018427387904,"digest":"sha256:`+strings.Repeat("0", 64)+`"}`, 1), plainConfig), "bytes", nil},
	{"config of 2^40 bytes", parts(strings.Replace(plainManifest, "CONFIG", `{"mediaType":"application/vnd.oci.image.config.v1+json","size":1099511627776,"digest":"sha256:`+strings.Repeat("0", 64)+`"}`, 1), plainConfig), "bytes", nil},
	{"2,000 layers", parts(`{"schemaVersion":2,"config":CONFIG,"layers":[`+repeated("LAYER", 2000)+`]}`, strings.Replace(plainConfig, `"DIFF"`, repeated(`"DIFF"`, 2000), 1)), "layers", nil},
	{"100,000 layers", parts(`{"schemaVersion":2,"config":CONFIG,"layers":[`+repeated("LAYER", 100_000)+`]}`, plainConfig), "", nil},
	{"deep JSON", parts(`{"schemaVersion":2,"config":CONFIG,"x":`+strings.Repeat("[", 100_000)+`,"layers":[LAYER]}`, plainConfig), "", nil},
	{"manifest and index in one (CVE-2021-41190)", parts(`{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"manifests":[CONFIG]}`, plainConfig), "both", nil},
	{"no layers", parts(`{"schemaVersion":2,"config":CONFIG,"layers":[]}`, strings.Replace(plainConfig, `"DIFF"`, "", 1)), "no layers", nil},
	{"artifact", parts(strings.Replace(plainManifest, "CONFIG", `{"mediaType":"application/x-evil","size":2,"digest":"sha256:`+strings.Repeat("0", 64)+`"}`, 1), plainConfig), "artifact", nil},
	{"schema 1", func(t *testing.T, _ string) string { return schema1(t) }, "schema 1", nil},
	{"foreign layer", packedAs(types.DockerForeignLayer, func(t *testing.T) []byte { return gz(t, tarOf(t)) }), "foreign", nil},
	{"layer of garbage", packedAs(types.OCILayer, func(t *testing.T) []byte { return gz(t, bytes.Repeat([]byte("garbage "), 200)) }), "tar", nil},
	{"gzip that is cut", packedAs(types.OCILayer, func(t *testing.T) []byte { return cutHalf(gz(t, tarOf(t, file{name: "f"}))) }), "ends early", nil},
	{"gzip bomb behind the archive", packedAs(types.OCILayer, func(t *testing.T) []byte {
		return append(gz(t, tarOf(t, file{name: "f"})), times(70, gz(t, make([]byte, 16<<20)))...)
	}), "bomb", nil},
	{"zstd bomb behind the archive", packedAs(types.OCILayerZStd, func(t *testing.T) []byte {
		return append(zst(t, tarOf(t, file{name: "f"})), times(70, zst(t, make([]byte, 16<<20)))...)
	}), "bomb", nil},
	{"file of 2^40 bytes in few", packedAs(types.OCIUncompressedLayer, func(t *testing.T) []byte { return sparseTar(t, 1<<40) }), "", nil},
	{"PAX header of 64 MiB", packedAs(types.OCILayer, func(t *testing.T) []byte { return gz(t, longHeader(t)) }), "", nil},
	{"passwd is a link out", filesOf(v1.Config{Cmd: []string{"/x"}, User: "evil"}, file{name: "etc/"}, file{name: "etc/passwd", kind: '2', link: "CANARY/passwd"}), "",
		func(t *testing.T, _ string, img *Image) {
			if _, err := img.Process(Overrides{}); err == nil {
				t.Error("a user of the host's file was found")
			}
		}},
	{"passwd climbs out", filesOf(v1.Config{Cmd: []string{"/x"}, User: "evil"}, file{name: "etc/"}, file{name: "etc/passwd", kind: '2', link: "../../../../../../../../CANARY/passwd"}), "",
		func(t *testing.T, _ string, img *Image) {
			if _, err := img.Process(Overrides{}); err == nil {
				t.Error("a user of the host's file was found")
			}
		}},
	{"passwd is a pipe", filesOf(v1.Config{Cmd: []string{"/x"}, User: "evil"}, file{name: "etc/"}, file{name: "etc/passwd", kind: '6'}), "",
		func(t *testing.T, _ string, img *Image) {
			if _, err := img.Process(Overrides{}); err == nil {
				t.Error("a pipe was read")
			}
		}},
	{"WORKDIR with .. (podman made it on the host)", filesOf(v1.Config{Cmd: []string{"/x"}, WorkingDir: "/../../../../evil"}, file{name: "f"}), "",
		func(t *testing.T, _ string, img *Image) {
			if p, err := img.Process(Overrides{}); err == nil && strings.Contains(p.Dir, "..") {
				t.Errorf("starts in %q", p.Dir)
			}
		}},
	{"VOLUME with ..", filesOf(v1.Config{Cmd: []string{"/x"}, Volumes: map[string]struct{}{"/../../evil": {}, "/a/../..": {}, "rel": {}}}, file{name: "f"}), "",
		func(t *testing.T, _ string, img *Image) {
			for _, path := range img.Volumes() {
				if strings.Contains(path, "..") || !strings.HasPrefix(path, "/") {
					t.Errorf("volume %q", path)
				}
			}
		}},
	{"names that differ by case", filesOf(v1.Config{Cmd: []string{"/x"}}, file{name: "Sys", body: "1"}, file{name: "sys", body: "2"}, file{name: "SYS", kind: '2', link: "CANARY"}), "",
		func(t *testing.T, _ string, img *Image) {
			if readLayers(t, img, "Sys") != "1" || readLayers(t, img, "sys") != "2" {
				t.Error("one has the other's content")
			}
		}},
	{"environment with NUL and newline", filesOf(v1.Config{Cmd: []string{"/x"}, Env: []string{"A=1\x00B=2", "C=1\nD=2", "=x", "novalue"}}, file{name: "f"}), "",
		func(t *testing.T, _ string, img *Image) {
			p, err := img.Process(Overrides{})
			if err == nil && slices.ContainsFunc(p.Env, func(v string) bool { return strings.Contains(v, "\x00") }) {
				t.Errorf("environment %q", p.Env)
			}
		}},
}

// TestHostileImages: each is refused, and leaves nothing, or contained; a tree
// of the host does not change.
func TestHostileImages(t *testing.T) {
	for i, c := range corpus {
		t.Run(c.what, func(t *testing.T) {
			canary := t.TempDir()
			if err := os.WriteFile(filepath.Join(canary, "passwd"), []byte("evil:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			before := canaryState(t, canary)
			s, store := openTest(t)
			empty := listing(t, store)
			src := source(t, c.layout(t, canary))
			img, err := s.Pull(t.Context(), src, PullOptions{Platform: "linux/amd64"})
			verdict := "contained"
			switch {
			case c.then == nil && err == nil:
				t.Error("not refused")
			case c.then != nil && err != nil:
				t.Errorf("not contained but refused: %v", err)
			case c.then != nil:
				c.then(t, canary, img)
			default:
				verdict = fmt.Sprintf("refused: %.200s", strings.TrimPrefix(err.Error(), "pull "+src.String()+": "))
				sameListing(t, store, empty)
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("the error does not say %q: %v", c.says, err)
				}
			}
			if after := canaryState(t, canary); after != before {
				t.Errorf("the host's tree changed from %s to %s", before, after)
			}
			t.Logf("%2d  %-45s %s", i+1, c.what, verdict)
		})
	}
}

// canaryState is names, modes, times and contents.
func canaryState(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, infoErr := d.Info()
		raw, readErr := os.ReadFile(path)
		if d.IsDir() {
			readErr = nil
		}
		if err := errors.Join(infoErr, readErr); err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %s %d %x\n", path, info.Mode(), info.ModTime().UnixNano(), raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
