//go:build linux

package story

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// smallLayers each write a file of their own and one that all write, and remove
// what the one before them wrote.
func smallLayers(t *testing.T, count int) (layers []v1.Layer) {
	t.Helper()
	for i := range count {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for name, text := range map[string]string{
			"srv/all": fmt.Sprint(i), fmt.Sprint("srv/own", i): "", fmt.Sprint("srv/gone", i): "", fmt.Sprint("srv/.wh.gone", i-1): "",
		} {
			header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
			must(t, w.WriteHeader(header))
			_, err := io.WriteString(w, text)
			must(t, err)
		}
		must(t, w.Close())
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
		must(t, err)
		layers = append(layers, layer)
	}
	return layers
}

// TestAnImageOfAThousandLayers runs as any other does.
func TestAnImageOfAThousandLayers(t *testing.T) {
	w := newWorld(t)
	image := variant(t, "many", func(*v1.Config) {}, smallLayers(t, 1000)...)
	const script = "cat /srv/all; echo; ls /srv | grep -c own; ls /srv | grep gone; rm /srv/own0; ls /srv | grep -c own"
	r := w.result("run", "--quiet", "--name", "many", image, "sh", "-c", script)
	if want := "999\n1000\ngone999\n999\n"; r.code != 0 || r.out != want {
		t.Fatalf("exit %d, %q, want %q: %s", r.code, r.out, want, r.err)
	}
	if got, want := w.good("diff", "many"), "C /srv\nD /srv/own0\n"; got != want {
		t.Errorf("diff says %q, want %q", got, want)
	}
}
