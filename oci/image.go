package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/oci/cosign"
)

// Image is an image in the store. Its layers must only be read.
type Image struct {
	Ref    string `json:"ref"`    // what it was pulled as, in full
	Digest string `json:"digest"` // of its manifest
	// Publisher vouched for it: "key:HEX" for the signing key that Pull was asked
	// to check, else "registry/repository" where TLS did, else "".
	Publisher string    `json:"publisher,omitempty"`
	Signer    string    `json:"signer,omitempty"` // id of that key (package cosign)
	Platform  string    `json:"platform"`         // "linux/amd64"
	Size      int64     `json:"size"`             // bytes, unpacked
	Pulled    time.Time `json:"pulled"`
	Layers    []string  `json:"layers"` // host directories for overlayfs (userxattr), lowest first
	Config    v1.Config `json:"config"`

	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // of its manifest
	Dropped     Dropped           `json:"dropped,omitzero"`
	Manifest    *app.Manifest     `json:"manifest,omitempty"` // the rights it asks for
}

// Arch is the processor its programs are for, as Go names it.
func (i *Image) Arch() string {
	_, arch, _ := strings.Cut(i.Platform, "/")
	arch, _, _ = strings.Cut(arch, "/") // "linux/arm/v7"
	return arch
}

// signerPrefix makes a publisher of a key. No repository has a colon there
// without a port.
const signerPrefix = "key:"

// Dropped counts what policy left out of an image's layers.
type Dropped struct {
	Devices      int `json:"devices,omitempty"`      // device nodes
	Capabilities int `json:"capabilities,omitempty"` // file capabilities
	Xattrs       int `json:"xattrs,omitempty"`       // other extended attributes outside user.*
}

// dropped adds up what the layers with these keys lack.
func (s *Store) dropped(keys []string) (d Dropped) {
	for _, key := range keys {
		var info layerInfo
		if s.readJSON(layersDir+"/"+key+"/layer.json", &info) != nil {
			continue // stack says what is wrong with it
		}
		d.Devices += info.Result.Devices
		d.Capabilities += info.Result.Caps
		d.Xattrs += info.Result.Xattrs
	}
	return d
}

// PublisherOf is who publishes what a key has signed.
func PublisherOf(key *cosign.Key) string { return signerPrefix + key.ID() }

// Images lists the store, by reference.
func (s *Store) Images() ([]Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return nil, err
	}
	images := make([]Image, 0, len(all))
	for _, r := range all {
		img, err := s.image(r)
		if err != nil {
			s.log.Error("unusable image; pull it again", "image", r.Ref, "err", err)
			continue
		}
		images = append(images, *img)
	}
	slices.SortFunc(images, func(a, b Image) int { return strings.Compare(a.Ref, b.Ref) })
	return images, nil
}

// Lookup finds an image by reference (as the user writes it), digest, or a
// prefix of a digest that only one image has. The error wraps ErrNotFound.
func (s *Store) Lookup(ref string) (*Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return nil, err
	}
	r, err := find(all, ref)
	if err != nil {
		return nil, err
	}
	return s.image(r)
}

// minPrefix is how many hex digits a digest's prefix needs.
const minPrefix = 4

func find(all []record, ref string) (record, error) {
	names := []string{ref}
	if src, err := ParseSource(ref); err == nil {
		names = append(names, src.String())
	}
	for _, r := range all {
		if slices.Contains(names, r.Ref) || ref == r.Digest || r.Index != "" && ref == r.Index {
			return r, nil
		}
	}
	prefix := strings.TrimPrefix(ref, "sha256:")
	var found []record
	for _, r := range all {
		if len(prefix) >= minPrefix && strings.HasPrefix(hexOf(r.Digest), prefix) &&
			(len(found) == 0 || found[0].Digest != r.Digest) {
			found = append(found, r)
		}
	}
	if len(found) > 1 {
		return record{}, fmt.Errorf("%q is the start of more than one image's digest; write more of it: %w", ref, ErrNotFound)
	}
	if len(found) == 0 {
		return record{}, fmt.Errorf("no image %q in the store; \"consentry images\" lists them: %w", ref, ErrNotFound)
	}
	return found[0], nil
}

// image makes the Image of a record. s.mu is held.
func (s *Store) image(r record) (*Image, error) {
	img := &Image{Ref: r.Ref, Digest: r.Digest, Publisher: r.Publisher, Platform: r.Platform, Size: r.Size, Pulled: r.Pulled}
	if img.Signer = r.Signer; img.Signer != "" {
		img.Publisher = signerPrefix + img.Signer
	}
	if err := s.describe(img, r); err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Ref, err)
	}
	var err error
	if img.Layers, err = s.stack(r.Layers); err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Ref, err)
	}
	img.Dropped = s.dropped(r.Layers)
	return img, nil
}

// stack is the directories to mount for the layers with these keys, lowest
// first. Layers below one that hides all are left out, since overlayfs does not
// look for the mark on a layer's root. So is a layer that comes again higher
// up, which overlayfs refuses: what the lower one adds, the upper one adds.
func (s *Store) stack(keys []string) ([]string, error) {
	var dirs []string
	for _, key := range keys {
		var info layerInfo
		if err := s.readJSON(layersDir+"/"+key+"/layer.json", &info); err != nil {
			return nil, corrupt("layer %s: %w", key, err)
		}
		if info.Result.RootOpaque {
			dirs = nil
		}
		dir := s.layerPath(key)
		dirs = append(slices.DeleteFunc(dirs, func(d string) bool { return d == dir }), dir)
	}
	return dirs, nil
}

// describe reads manifest and config, checking them once more.
func (s *Store) describe(img *Image, r record) error {
	rawManifest, err := s.readBlob(r.Digest)
	if err != nil {
		return err
	}
	rawConfig, err := s.readBlob(r.Config)
	if err != nil {
		return err
	}
	var manifest v1.Manifest
	var config v1.ConfigFile
	if err := errors.Join(json.Unmarshal(rawManifest, &manifest), json.Unmarshal(rawConfig, &config)); err != nil {
		return err
	}
	img.Config, img.Labels, img.Annotations = config.Config, config.Config.Labels, manifest.Annotations
	img.Manifest, err = rights(config.Config.Labels, manifest.Annotations)
	return err
}

func (s *Store) readBlob(digest string) ([]byte, error) {
	want, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	raw, err := s.root.ReadFile(blobsDir + "/" + want.Hex)
	if err != nil {
		return nil, err
	}
	if have, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || have != want {
		return nil, errors.Join(corrupt("%s has changed on disk", digest), err)
	}
	return raw, nil
}

// rights reads the app's manifest from a label, else from an annotation.
func rights(labels, annotations map[string]string) (*app.Manifest, error) {
	for _, from := range []struct {
		what string
		in   map[string]string
	}{{"label", labels}, {"annotation", annotations}} {
		raw, is := from.in[app.ManifestLabel]
		if !is {
			continue
		}
		m, err := app.ParseManifest([]byte(raw))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", from.what, app.ManifestLabel, err)
		}
		return m, nil
	}
	return nil, nil
}
