package vmhost

import (
	"path"
	"strconv"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// Layer is where the layer with that index lies among the files.
func Layer(n int) string { return path.Join("l", strconv.Itoa(n)) }

// Writable is the folder with the writable layer, upper and work.
const Writable = "w"

// Given is where the mount with that index lies.
func Given(n int) string { return path.Join("m", strconv.Itoa(n)) }

// guestSpec is spec as the guest understands it: the same app, with the places
// of its files in the guest.
func guestSpec(spec sandbox.Spec) sandbox.Spec {
	image := *spec.Image
	image.Lower = nil
	for n := range spec.Image.Lower {
		image.Lower = append(image.Lower, path.Join(guestwire.FilesDir, Layer(n)))
	}
	if image.Upper != "" {
		image.Upper = path.Join(guestwire.FilesDir, Writable, path.Base(image.Upper))
		image.Work = path.Join(guestwire.FilesDir, Writable, path.Base(image.Work))
	}
	spec.Image = &image
	mounts := spec.Mounts
	spec.Mounts = nil
	for n, m := range mounts {
		m.Source = path.Join(guestwire.FilesDir, Given(n))
		m.Parts = nil // the host put them together
		spec.Mounts = append(spec.Mounts, m)
	}
	spec.Waived = nil // of the user's machine, not of ours
	return spec
}
