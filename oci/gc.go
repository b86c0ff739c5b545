package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Remove takes a reference (or digest, or unique prefix of one) out of the
// store, and what only it needed. The last reference to a digest that inUse
// names stays, with ErrInUse. freed is in bytes.
func (s *Store) Remove(ref string, inUse func(digest string) bool) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return 0, err
	}
	r, err := find(all, ref)
	if err != nil {
		return 0, err
	}
	if references(all, r.Digest) == 1 && inUse != nil && inUse(r.Digest) {
		return 0, fmt.Errorf("remove %s: an app uses it; stop and remove the app first: %w", r.Ref, ErrInUse)
	}
	if err := s.root.Remove(recordName(r.Ref)); err != nil {
		return 0, err
	}
	return s.sweep()
}

func references(all []record, digest string) int {
	n := 0
	for _, r := range all {
		if r.Digest == digest {
			n++
		}
	}
	return n
}

// Prune removes every image that inUse does not name, and what is left of pulls
// that were cut off. It returns the removed
// references and the freed bytes.
func (s *Store) Prune(inUse func(digest string) bool) (removed []string, freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return nil, 0, err
	}
	for _, r := range all {
		if inUse != nil && inUse(r.Digest) {
			continue
		}
		if err := s.root.Remove(recordName(r.Ref)); err != nil {
			return removed, 0, err
		}
		removed = append(removed, r.Ref)
	}
	if err := s.giveUp(); err != nil {
		return removed, 0, err
	}
	freed, err = s.sweep()
	return removed, freed, err
}

// sweep removes blobs and layers that no reference names and no pull relies
// on. s.mu is held (or nobody else has the store yet).
func (s *Store) sweep() (freed int64, err error) {
	all, err := s.records()
	if err != nil {
		return 0, err
	}
	blobs, layers, disks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range all {
		disks[diskName(r.Layers)] = true
		blobs[hexOf(r.Digest)], blobs[hexOf(r.Config)] = true, true
		for _, key := range r.Layers {
			layers[key] = true
		}
	}
	for key := range s.pins {
		layers[key] = true
	}
	waiting, err := s.waiting()
	if err != nil {
		return 0, err
	}
	for _, key := range waiting {
		layers[key] = true
	}
	freedBlobs, err := s.sweepDir(blobsDir, blobs)
	freedLayers, layersErr := s.sweepDir(layersDir, layers)
	freedDisks, disksErr := s.sweepDir(disksDir, disks)
	return freedBlobs + freedLayers + freedDisks, errors.Join(err, layersErr, disksErr)
}

func hexOf(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex
}

// sweepDir removes what keep does not name. A layer is moved away first, so
// that it is never seen in part.
func (s *Store) sweepDir(dir string, keep map[string]bool) (freed int64, err error) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		name := dir + "/" + e.Name()
		size := s.sizeOf(name)
		trash := tmpDir + "/trash-" + e.Name()
		if err := errors.Join(s.root.Rename(name, trash), s.root.RemoveAll(trash)); err != nil {
			return freed, fmt.Errorf("remove %s: %w", name, err)
		}
		freed += size
	}
	return freed, nil
}

// sizeOf is what a blob or layer takes, in bytes; of a layer what layer.json says.
func (s *Store) sizeOf(name string) int64 {
	info, err := s.root.Lstat(name)
	if err != nil {
		return 0
	}
	if !info.IsDir() {
		return info.Size()
	}
	var layer layerInfo
	if err := s.readJSON(filepath.ToSlash(name)+"/layer.json", &layer); err != nil {
		return 0
	}
	return layer.Result.Bytes
}

// pin keeps the layers from being swept until they are unpinned.
func (s *Store) pin(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.pins[key]++
	}
}

func (s *Store) unpin(keys []string) {
	for _, key := range keys {
		if s.pins[key]--; s.pins[key] <= 0 {
			delete(s.pins, key)
		}
	}
}
