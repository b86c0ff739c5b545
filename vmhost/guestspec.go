package vmhost

import (
	"path"
	"path/filepath"
	"slices"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// Layer is where the layer with that index lies among the files.
func Layer(n int) string { return guestwire.LayerName(n) }

// Writable is the folder with the writable layer, upper and work.
const Writable = guestwire.WritableName

// Given is where the mount with that index lies.
func Given(n int) string { return guestwire.GivenName(n) }

// machineSpec is spec as a driver needs it: folders of the user's are no files of
// the machine.
func machineSpec(spec sandbox.Spec) sandbox.Spec {
	spec.Mounts = slices.DeleteFunc(slices.Clone(spec.Mounts), func(m sandbox.Mount) bool { return !m.Volume })
	spec.Asks = nil
	return spec
}

// guestSpec is what machineSpec returned as the guest understands it: the same
// app, with the places of its files in the guest, and the folders. Waivers are of the system's kernel, where the guest
// runs on that.
func guestSpec(spec sandbox.Spec, folders []sandbox.Mount, systemKernel bool) sandbox.Spec {
	image := *spec.Image
	image.Lower = nil
	for n := range spec.Image.Lower {
		image.Lower = append(image.Lower, path.Join(guestwire.FilesDir, Layer(n)))
	}
	if image.Upper != "" {
		image.Upper = path.Join(guestwire.FilesDir, Writable, filepath.Base(image.Upper))
		image.Work = path.Join(guestwire.FilesDir, Writable, filepath.Base(image.Work))
	}
	spec.Image = &image
	mounts := spec.Mounts
	spec.Mounts = nil
	for n, m := range mounts {
		m.Source = path.Join(guestwire.FilesDir, Given(n))
		spec.Mounts = append(spec.Mounts, m)
	}
	spec.Mounts = byTarget(append(spec.Mounts, folders...))
	if !systemKernel {
		spec.Waived = nil
	}
	return spec
}
