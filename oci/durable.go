package oci

import (
	"errors"
	"io/fs"
)

// A layer is published with its files in the page cache: to sync each would
// make a pull several times slower. What a killed process wrote is safe there;
// what a machine wrote that lost power is not. So a layer counts as whole
// either when it was synced since (its mark says so), or while the machine
// still runs that unpacked it (its boot id says so). All else is removed when
// the store is opened, and pulled again when it is wanted.

// durableMark is a file in a layer's directory.
const durableMark = "durable"

// makeDurable syncs the store's file system, then marks the layers. It runs in
// the background after a pull; Close waits for it.
func (s *Store) makeDurable(keys []string) {
	s.work.Go(func() {
		if err := syncDisk(s.root); err != nil {
			s.log.Warn("layers are not known to be on disk; after a power failure they are pulled again", "err", err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, key := range keys {
			err := s.root.WriteFile(layersDir+"/"+key+"/"+durableMark, nil, 0o600)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				s.log.Warn("mark a layer", "layer", key, "err", err)
			}
		}
	})
}

// doubtful lists the layers that may have lost something in a power failure,
// and those that only have not been synced yet.
func (s *Store) doubtful() (lost, unsynced []string, err error) {
	entries, err := fs.ReadDir(s.root.FS(), layersDir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		dir := layersDir + "/" + e.Name()
		if _, err := s.root.Lstat(dir + "/" + durableMark); err == nil {
			continue
		}
		var info layerInfo
		if err := s.readJSON(dir+"/layer.json", &info); err == nil && info.Boot == s.boot {
			unsynced = append(unsynced, e.Name())
			continue
		}
		lost = append(lost, e.Name())
	}
	return lost, unsynced, nil
}

// recover removes what a power failure may have damaged.
func (s *Store) recover() error {
	lost, unsynced, err := s.doubtful()
	if err != nil {
		return err
	}
	for _, key := range lost {
		trash := tmpDir + "/lost-" + key
		if err := errors.Join(s.root.Rename(layersDir+"/"+key, trash), s.root.RemoveAll(trash)); err != nil {
			return err
		}
	}
	if len(lost) > 0 {
		s.log.Warn("removed layers that were not on disk when the machine went down; they are pulled again when they are needed", "layers", len(lost))
	}
	if len(unsynced) > 0 {
		s.makeDurable(unsynced)
	}
	return nil
}
