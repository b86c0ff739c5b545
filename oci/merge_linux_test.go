package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// howMany layers are compared: more than are mounted; long: a thousand.
func howMany() int {
	if os.Getenv("CONSENTRY_LONG") == "" {
		return 250
	}
	return 1000
}

// entangled are small layers that rely on each other: what one adds, others write
// over, remove, hide, link to, or turn into something else.
func entangled(count int) (layers [][]file) {
	for i, files := range many(count) {
		last := fmt.Sprint("d/", i-1)
		switch {
		case i == 0:
			files = append(files, file{name: "h/"}, file{name: "o/"}, file{name: "srv/", mode: 0o2770, uid: 33},
				file{name: "srv/www/", uid: 34, pax: map[string]string{"SCHILY.xattr.user.old": "0"}}, file{name: "bin", kind: '2', link: "usr/bin"}, file{name: "usr/"}, file{name: "usr/bin/"})
		case i%10 == 1:
			files = append(files, file{name: "o/", mode: 0o711}, file{name: fmt.Sprint("o/", i)}, file{name: "o/.wh..wh..opq"})
		case i%10 == 2:
			files = append(files, file{name: "o/"}, file{name: fmt.Sprint("o/", i)})
		case i%10 == 3:
			files = append(files, file{name: "h/"}, file{name: fmt.Sprint("h/", i), kind: '1', link: last})
		case i%10 == 4:
			files = append(files, file{name: fmt.Sprint("srv/www/", i), uid: i})
		case i%10 == 5:
			files = append(files, file{name: "flip", body: "file"})
		case i%10 == 6:
			files = append(files, file{name: "flip/"}, file{name: fmt.Sprint("flip/", i)})
		case i%10 == 7:
			files = append(files, file{name: "srv/"}, file{name: "srv/www/", uid: i, pax: map[string]string{fmt.Sprint("SCHILY.xattr.user.", i): "x"}})
		case i%10 == 8:
			files = append(files, file{name: fmt.Sprint("bin/", i), body: "tool", mode: 0o4755})
		case i%10 == 9:
			files = append(files, file{name: fmt.Sprint("d/.wh.", i-5)}, file{name: fmt.Sprint("bin/.wh.", i-1)})
		}
		layers = append(layers, files)
	}
	return layers
}

// TestMergedLayers: the merged tree of an image's lowest layers is made once,
// shared with the images that have them, kept while one has it, and swept.
func TestMergedLayers(t *testing.T) {
	s, dir := openTest(t)
	s.width = 2
	layers := many(5)
	layers[4] = append(layers[4], file{name: ".wh.gone3"}, file{name: "dev/"}, file{name: "dev/sda", kind: '4'})
	pull := func(layers [][]file) *Image {
		t.Helper()
		img, err := s.Pull(t.Context(), source(t, writeLayout(t, ociImage(t, layers))), PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	first := pull(layers)
	base := first.Layers[0]
	if len(first.Layers) != 2 || !strings.HasPrefix(filepath.Base(filepath.Dir(base)), baseMark) {
		t.Fatalf("mounted from %q", first.Layers)
	}
	if first.Dropped.Devices != 1 {
		t.Errorf("dropped: %+v", first.Dropped)
	}
	if got := readLayers(t, first, "all"); got != "4" {
		t.Errorf("all is %q", got)
	}
	before, err := os.Stat(base)
	if err != nil {
		t.Fatal(err)
	}
	other := append(append([][]file{}, layers[:4]...), []file{{name: "other"}})
	second := pull(other)
	after, err := os.Stat(base)
	if err != nil || second.Layers[0] != base || !os.SameFile(before, after) {
		t.Errorf("not shared: %q and %q, %v", first.Layers, second.Layers, err)
	}
	for i, ref := range []string{first.Ref, second.Ref} {
		if _, err := s.Remove(ref, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(base); (err == nil) != (i == 0) {
			t.Errorf("%d images removed, the merged tree: %v", i+1, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, layersDir)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestBrokenLowLayer: a layer that is not what it should be spoils the whole,
// also where it is merged.
func TestBrokenLowLayer(t *testing.T) {
	s, dir := openTest(t)
	s.width = 1
	empty := listing(t, dir)
	layers := many(4)
	layers[2] = append(layers[2], file{name: "l", kind: '1', link: "nowhere"})
	_, err := s.Pull(t.Context(), source(t, writeLayout(t, ociImage(t, layers))), PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "no layer has the target") {
		t.Errorf("got %v", err)
	}
	sameListing(t, dir, empty)
}

func TestLowest(t *testing.T) {
	for _, c := range []struct{ n, width, want int }{
		{1, 128, 0}, {127, 128, 0}, {128, 128, 0}, {129, 128, 2}, {1000, 128, 873}, {2, 1, 2}, {1, 1, 0},
	} {
		if got := lowest(c.n, c.width); got != c.want {
			t.Errorf("of %d layers, %d wide: %d, want %d", c.n, c.width, got, c.want)
		}
	}
}
