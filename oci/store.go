package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/oci/unpack"
)

// Directories of the store.
const (
	blobsDir  = "blobs/sha256"
	layersDir = "layers"
	imagesDir = "images"
	tmpDir    = "tmp"
	lockFile  = "lock"
)

// Store keeps images in one directory. Its methods may be called from several
// goroutines.
type Store struct {
	dir    string
	root   *os.Root
	log    *slog.Logger
	lock   *os.File
	limits unpack.Limits
	width  int // see maxStack
	now    func() time.Time
	layers keyed          // one pull works on a layer
	pulls  keyed          // one pull works on an image
	boot   string         // which run of the kernel this is
	work   sync.WaitGroup // syncs in the background

	mu   sync.Mutex     // guards what lies in images/ and layers/, and pins
	pins map[string]int // layer key → pulls that rely on it
}

// OpenStore opens the store in dir, making it (mode 0700) when it is missing.
// What a crash left half-written is removed. Only one Store can be open on dir.
func OpenStore(dir string, log *slog.Logger) (_ *Store, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // layers are mounted, and hosts follow no link
		return nil, fmt.Errorf("open image store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	s := &Store{dir: dir, root: root, log: log, limits: unpack.DefaultLimits, width: maxStack, now: time.Now, boot: bootID(), pins: map[string]int{}}
	if s.lock, err = lockStore(filepath.Join(dir, lockFile)); err != nil {
		return nil, errors.Join(fmt.Errorf("image store %s: %w", dir, err), root.Close())
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open image store: %w", err), s.Close())
	}
	return s, nil
}

// Close releases the store. No pull may be running.
func (s *Store) Close() error {
	s.work.Wait()
	return errors.Join(s.root.Close(), s.lock.Close())
}

func (s *Store) prepare() error {
	if err := os.Chmod(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.root.RemoveAll(tmpDir); err != nil {
		return err
	}
	for _, dir := range []string{blobsDir, layersDir, imagesDir, unfinishedDir, disksDir, tmpDir} {
		if err := s.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := s.recover(); err != nil {
		return err
	}
	freed, err := s.sweep()
	if freed > 0 {
		s.log.Info("removed what an unfinished pull left", "bytes", freed)
	}
	return err
}

// record is a reference on disk.
type record struct {
	Ref       string    `json:"ref"`
	Digest    string    `json:"digest"`
	Index     string    `json:"index,omitempty"`
	Config    string    `json:"config"`
	Publisher string    `json:"publisher,omitempty"`
	Signer    string    `json:"signer,omitempty"` // id of the key that was asked for and has signed it
	Platform  string    `json:"platform"`
	Size      int64     `json:"size"`
	Pulled    time.Time `json:"pulled"`
	Layers    []string  `json:"layers"` // keys, lowest first
}

// layerInfo is layer.json.
type layerInfo struct {
	DiffID string        `json:"diffID"`
	Boot   string        `json:"boot"`             // the run of the kernel that unpacked it
	Blob   string        `json:"blob"`             // digest it came as
	Merged int           `json:"merged,omitempty"` // how many layers it is the merged tree of; it has no digests then
	Result unpack.Result `json:"result"`
}

const maxRecord = 1 << 20 // bytes

func recordName(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return imagesDir + "/" + hex.EncodeToString(sum[:]) + ".json"
}

// records reads all references. s.mu is held.
func (s *Store) records() ([]record, error) {
	entries, err := fs.ReadDir(s.root.FS(), imagesDir)
	if err != nil {
		return nil, err
	}
	all := make([]record, 0, len(entries))
	for _, e := range entries {
		r, err := s.readRecord(imagesDir + "/" + e.Name())
		if err != nil {
			s.log.Error("unreadable image record; pull the image again", "file", e.Name(), "err", err)
			continue
		}
		all = append(all, r)
	}
	return all, nil
}

func (s *Store) readRecord(name string) (r record, err error) {
	if err := s.readJSON(name, &r); err != nil {
		return record{}, err
	}
	if r.Ref == "" || len(r.Layers) == 0 {
		return record{}, errors.New("no image in it")
	}
	for _, key := range r.Layers {
		if !isKey(key) {
			return record{}, fmt.Errorf("layer %.100q", key)
		}
	}
	return r, nil
}

func (s *Store) readJSON(name string, into any) error {
	info, err := s.root.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() > maxRecord {
		return fmt.Errorf("%s is %d bytes", name, info.Size())
	}
	raw, err := s.root.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// writeFile puts a whole file in its place, or none. What is not durable may be
// lost with the machine.
func (s *Store) writeFile(name string, data []byte, durable bool) error {
	tmp, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "file-*")
	if err != nil {
		return err
	}
	tmpName := tmpDir + "/" + filepath.Base(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil && durable {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = s.root.Rename(tmpName, name)
	}
	if err != nil {
		return errors.Join(err, s.root.RemoveAll(tmpName))
	}
	return nil
}

func (s *Store) writeJSON(name string, from any, durable bool) error {
	raw, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	return s.writeFile(name, append(raw, '\n'), durable)
}

// chainMark precedes the keys of layers that depend on those below.
const chainMark = "c-"

// baseMark precedes the keys of merged layers, see maxStack.
const baseMark = "m-"

func isKey(key string) bool {
	for _, mark := range []string{chainMark, baseMark} {
		if chain, is := strings.CutPrefix(key, mark); is {
			key = chain
			break
		}
	}
	_, err := v1.NewHash("sha256:" + key)
	return err == nil
}

func (s *Store) layerPath(key string) string { return filepath.Join(s.dir, layersDir, key, "fs") }

// hasLayer tells whether the layer is here, whole.
func (s *Store) hasLayer(key string) bool {
	_, err := s.root.Stat(layersDir + "/" + key + "/layer.json")
	return err == nil
}
