package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/consentry/consentry/internal/atomicfile"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such volume")
	ErrExists   = errors.New("there is a volume of that name already")
	ErrName     = errors.New("not a name for a volume: use letters a–z, digits, _ . and -, at most 63, a letter or digit first")
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

const (
	recordsDir = ".records"
	newPrefix  = ".new-" // of a volume that is not whole yet
	maxRecord  = 64 << 10
)

// Record is what is known of a volume besides its files.
type Record struct {
	Created time.Time `json:"created"`
	// Run is the run that it was made for, because the image asked for a volume
	// at Target; "" for one that the user named.
	Run    string `json:"run,omitempty"`
	Target string `json:"target,omitempty"`
}

// Volume is one volume.
type Volume struct {
	Name string
	Path string
	Record
}

// Store is the volumes below one directory.
type Store struct {
	dir  string
	root *os.Root
	now  func() time.Time
}

// Open opens the store in dir, which is made if it is missing.
func Open(dir string, now func() time.Time) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, recordsDir), 0o700); err != nil { // keeps the host's users out
		return nil, fmt.Errorf("open volumes: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open volumes: %w", err)
	}
	s := &Store{dir: dir, root: root, now: now}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("open volumes: %w", err), root.Close())
	}
	return s, nil
}

// Close closes the store.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes what a crash left half made.
func (s *Store) sweep() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			err = errors.Join(err, s.root.RemoveAll(e.Name()))
		}
	}
	return err
}

// Path is where the volume of a name lies or would lie.
func (s *Store) Path(name string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", fmt.Errorf("volume %.100q: %w", name, ErrName)
	}
	return filepath.Join(s.dir, name), nil
}

// Get returns a volume.
func (s *Store) Get(name string) (Volume, error) {
	path, err := s.Path(name)
	if err != nil {
		return Volume{}, err
	}
	info, err := s.root.Lstat(name)
	if err != nil || !info.IsDir() {
		return Volume{}, fmt.Errorf("volume %s: %w", name, ErrNotFound)
	}
	v := Volume{Name: name, Path: path, Record: Record{Created: info.ModTime()}}
	raw, err := s.readRecord(name)
	if err == nil {
		err = json.Unmarshal(raw, &v.Record)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Volume{}, fmt.Errorf("record of volume %s: %w", name, err)
	}
	return v, nil
}

func recordName(name string) string { return recordsDir + "/" + name + ".json" }

func (s *Store) readRecord(name string) ([]byte, error) {
	info, err := s.root.Lstat(recordName(name))
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, fmt.Errorf("it is %d bytes", info.Size())
	}
	return s.root.ReadFile(recordName(name))
}

// List returns all volumes, by name.
func (s *Store) List() ([]Volume, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var all []Volume
	for _, e := range entries {
		if !e.IsDir() || !nameForm.MatchString(e.Name()) {
			continue
		}
		v, err := s.Get(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Create makes an empty volume. The error wraps ErrExists if there is one.
func (s *Store) Create(name string, r Record) (Volume, error) {
	if _, err := s.Path(name); err != nil {
		return Volume{}, err
	}
	r.Created = s.now().UTC()
	if err := s.root.Mkdir(name, 0o755); err != nil {
		return Volume{}, exists(name, err)
	}
	if err := s.writeRecord(name, r); err != nil {
		return Volume{}, errors.Join(err, s.root.Remove(name))
	}
	return s.Get(name)
}

func exists(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("volume %s: %w", name, ErrExists)
	}
	return fmt.Errorf("make volume %s: %w", name, err)
}

func (s *Store) writeRecord(name string, r Record) error {
	raw, err := json.Marshal(r)
	if err == nil {
		err = atomicfile.Write(filepath.Join(s.dir, filepath.FromSlash(recordName(name))), raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("record of volume %s: %w", name, err)
	}
	return nil
}

// Remove removes a volume and all that is in it. It is out of reach at once.
func (s *Store) Remove(name string) error {
	if _, err := s.Get(name); err != nil {
		return err
	}
	trash := newPrefix + name
	if err := errors.Join(s.root.RemoveAll(trash), s.root.Rename(name, trash)); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	err := s.root.Remove(recordName(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, s.root.RemoveAll(trash)); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}
