package oci

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platformOf reads "linux/arm64/v8"; "" is Linux on this machine's processor.
// Apps are always Linux programs, whatever the host.
func platformOf(s string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil || p.OS != "linux" || p.Architecture == "" {
		return v1.Platform{}, fmt.Errorf("platform %q: want linux/ARCHITECTURE, like linux/%s", s, runtime.GOARCH)
	}
	return *p, nil
}

// fits tells whether an image for have runs where want is asked for.
func fits(want v1.Platform, have *v1.Platform) bool {
	if have == nil || have.OS == "" && have.Architecture == "" {
		return true // from scratch, by a tool that says nothing
	}
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return false
	}
	return want.Variant == "" || have.Variant == "" || have.Variant == want.Variant
}

// choose picks the child of an index for want.
func choose(index *v1.IndexManifest, want v1.Platform) (v1.Descriptor, error) {
	var have []string
	for _, d := range index.Manifests {
		if !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
			continue
		}
		if d.Platform != nil && fits(want, d.Platform) || d.Platform == nil && len(index.Manifests) == 1 {
			return d, nil
		}
		if d.Platform != nil && d.Platform.OS != "unknown" { // "unknown" are attestations
			have = append(have, d.Platform.String())
		}
	}
	slices.Sort(have)
	if len(have) == 0 {
		return v1.Descriptor{}, fmt.Errorf("the index names no image for %s: %w", want.String(), ErrNotFound)
	}
	return v1.Descriptor{}, fmt.Errorf("there is no image for %s, only for %s (--platform picks another): %w",
		want.String(), strings.Join(slices.Compact(have), ", "), ErrNotFound)
}
