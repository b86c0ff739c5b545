package oci

import (
	"archive/tar"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestWhatIsLeftOutIsShown: of an image's devices and file capabilities.
func TestWhatIsLeftOutIsShown(t *testing.T) {
	s, _ := openTest(t)
	dir := writeLayout(t, imageOf(t, v1.Config{},
		layerOf(t, file{name: "ping", body: "x", pax: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}}, file{name: "null", kind: tar.TypeBlock}),
		layerOf(t, file{name: "x", body: "x", pax: map[string]string{"SCHILY.xattr.security.selinux": "s"}})))
	img, err := s.Pull(t.Context(), source(t, dir), PullOptions{})
	if want := (Dropped{Devices: 1, Capabilities: 1, Xattrs: 1}); err != nil || img.Dropped != want {
		t.Errorf("left out %+v, %v", img.Dropped, err)
	}
}
