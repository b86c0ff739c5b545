package oci

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

var epoch = time.Unix(1_700_000_000, 0)

// file is one entry of a layer that a test builds.
type file struct {
	name, body, link string
	kind             byte // 0: a directory when name ends in "/", else a file
	mode             int64
	uid, gid         int
	pax              map[string]string
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, f := range files {
		hdr := &tar.Header{Name: f.name, Linkname: f.link, Typeflag: f.kind, Mode: f.mode, Uid: f.uid, Gid: f.gid,
			Size: int64(len(f.body)), ModTime: epoch, PAXRecords: f.pax}
		if f.kind == 0 && strings.HasSuffix(f.name, "/") {
			hdr.Typeflag = tar.TypeDir
		} else if f.kind == 0 {
			hdr.Typeflag = tar.TypeReg
		}
		if hdr.Mode == 0 {
			hdr.Mode = 0o644
			if hdr.Typeflag == tar.TypeDir {
				hdr.Mode = 0o755
			}
		}
		if err := tw.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func layerOf(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	raw := tarOf(t, files...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imageOf stacks layers under a config for this machine.
func imageOf(t testing.TB, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: config, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layers...); err != nil {
		t.Fatal(err)
	}
	return img
}

// small is an image with a user and a program that nobody runs.
func small(t testing.TB) v1.Image {
	return imageOf(t, v1.Config{Cmd: []string{"/bin/hello"}, User: "web"},
		layerOf(t, file{name: "etc/"}, file{name: "etc/passwd", body: "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"},
			file{name: "etc/group", body: "root:x:0:\nweb:x:34:\nlog:x:4:web\n"}),
		layerOf(t, file{name: "bin/"}, file{name: "bin/hello", body: "hello", mode: 0o755}))
}

func openTest(t testing.TB) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

// serve runs the library's registry on loopback.
func serve(t testing.TB) (host string) {
	t.Helper()
	srv := httptest.NewServer(memory.New(memory.Logger(discardLog())))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func push(t testing.TB, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
}

func source(t testing.TB, s string) Source {
	t.Helper()
	src, err := ParseSource(s)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// listing names everything below dir, for "nothing was left behind".
func listing(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d == nil || d.Name() != durableMark { // it comes in the background
			all = append(all, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameListing(t testing.TB, dir string, before []string) {
	t.Helper()
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("the store changed:\nbefore %q\nafter  %q", before, after)
	}
}

func readLayers(t testing.TB, img *Image, path string) string {
	t.Helper()
	for _, dir := range slices.Backward(img.Layers) {
		if raw, err := os.ReadFile(filepath.Join(dir, path)); err == nil {
			return string(raw)
		}
	}
	t.Errorf("%s is in no layer of %q", path, img.Layers)
	return ""
}
