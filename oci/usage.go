package oci

import (
	"errors"
	"io/fs"
)

// Usage is what images take on disk; a layer that several share counts once.
type Usage struct {
	Images, Active   int   // Active are those that inUse names
	Bytes            int64 // of file contents, unpacked
	Reclaimable      int64 // of those that prune would free
	Layers           int
	Shared           int   // layers that several images have
	DuplicatesSpared int64 // what those would take more if they were not shared
}

// Usage counts what is in the store.
func (s *Store) Usage(inUse func(digest string) bool) (u Usage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.records()
	if err != nil {
		return u, err
	}
	users, active := map[string]int{}, map[string]bool{}
	for _, r := range all {
		u.Images++
		used := inUse != nil && inUse(r.Digest)
		if used {
			u.Active++
		}
		for _, key := range r.Layers {
			users[key]++
			active[key] = active[key] || used
		}
	}
	layers, err := fs.ReadDir(s.root.FS(), layersDir)
	for _, e := range layers {
		s.count(&u, e.Name(), users[e.Name()], active[e.Name()])
	}
	blobs, blobsErr := fs.ReadDir(s.root.FS(), blobsDir)
	for _, e := range blobs {
		u.Bytes += s.sizeOf(blobsDir + "/" + e.Name())
	}
	disks, disksErr := fs.ReadDir(s.root.FS(), disksDir)
	for _, e := range disks {
		u.Bytes += s.sizeOf(disksDir + "/" + e.Name())
	}
	return u, errors.Join(err, blobsErr, disksErr)
}

func (s *Store) count(u *Usage, key string, users int, active bool) {
	size := s.sizeOf(layersDir + "/" + key)
	u.Layers++
	u.Bytes += size
	if !active {
		u.Reclaimable += size
	}
	if users > 1 {
		u.Shared++
		u.DuplicatesSpared += int64(users-1) * size
	}
}
