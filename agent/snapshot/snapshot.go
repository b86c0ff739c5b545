// Package snapshot keeps states of what one app has written, as compressed tar
// archives of its writable layer with its whiteouts.
//
// Promised: a snapshot is there whole or not at all, and so is the layer after
// a restore; a name cannot lead out of the directory.
package snapshot

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/consentry/consentry/oci/unpack"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such snapshot")
	ErrExists   = errors.New("there is a snapshot of that name already")
	ErrName     = errors.New("not a name for a snapshot: use letters a–z, digits, _ . and -, at most 63, a letter or digit first")
)

const (
	suffix     = ".tar.zst"
	zstdMemory = 64 << 20 // bytes a frame may want for its window
	maxEntries = 2_000_000
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// Snapshot is one kept state.
type Snapshot struct {
	Name    string
	Created time.Time
	Bytes   int64 // on disk
}

// Store keeps the snapshots of one app in Dir, which need not be there.
type Store struct{ Dir string }

func (s Store) path(name string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", fmt.Errorf("snapshot %.100q: %w", name, ErrName)
	}
	return filepath.Join(s.Dir, name+suffix), nil
}

// List returns the snapshots, oldest first.
func (s Store) List() ([]Snapshot, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Snapshot
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), suffix)
		info, err := e.Info()
		if is && err == nil && nameForm.MatchString(name) {
			all = append(all, Snapshot{name, info.ModTime(), info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int { return a.Created.Compare(b.Created) })
	return all, err
}

// Create keeps the state of the layer in the directory upper.
func (s Store) Create(ctx context.Context, name, upper string) (_ Snapshot, err error) {
	place, err := s.path(name)
	if err != nil {
		return Snapshot{}, err
	}
	if _, err := os.Lstat(place); err == nil {
		return Snapshot{}, fmt.Errorf("snapshot %s: %w", name, ErrExists)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %s: %w", name, err)
	}
	f, err := os.CreateTemp(s.Dir, ".new-*") //nolint:forbidigo // our own directory
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %s: %w", name, err)
	}
	err = write(ctx, f, upper)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), place)
	}
	if err != nil {
		return Snapshot{}, errors.Join(fmt.Errorf("snapshot %s: %w", name, err), os.Remove(f.Name()))
	}
	info, err := os.Lstat(place)
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{name, info.ModTime(), info.Size()}, nil
}

func write(ctx context.Context, w io.Writer, upper string) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return errors.Join(pack(ctx, z, upper), z.Close())
}

func pack(ctx context.Context, w io.Writer, upper string) (err error) {
	view, err := unpack.OpenView([]string{upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	return view.Pack(ctx, w, ".", unpack.Packing{Marks: true})
}

// open reads a snapshot as a tar stream.
func (s Store) open(name string) (io.ReadCloser, error) {
	place, err := s.path(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory), zstd.WithDecoderMaxWindow(zstdMemory))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return archive{z, f}, nil
}

type archive struct {
	*zstd.Decoder
	file *os.File
}

func (a archive) Close() error {
	a.Decoder.Close()
	return a.file.Close()
}

// Remove removes a snapshot.
func (s Store) Remove(name string) error {
	place, err := s.path(name)
	if err != nil {
		return err
	}
	err = os.Remove(place)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("snapshot %s: %w", name, ErrNotFound)
	}
	return err
}

// Restore puts a snapshot in the place of the layer upper, which no app may
// have mounted. What was there is gone then.
func (s Store) Restore(ctx context.Context, name, upper string) (err error) {
	r, err := s.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	fresh, old := upper+".new", upper+".old"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old), os.Mkdir(fresh, 0o700)); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	if _, err := unpack.Layer(ctx, fresh, r, unpack.DefaultLimits); err != nil {
		return errors.Join(fmt.Errorf("restore %s: %w", name, err), os.RemoveAll(fresh))
	}
	if err := os.Rename(upper, old); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	if err := os.Rename(fresh, upper); err != nil {
		return errors.Join(fmt.Errorf("restore %s: %w", name, err), os.Rename(old, upper))
	}
	return os.RemoveAll(old)
}

// Recover finishes or undoes a restore that a crash cut off.
func Recover(upper string) error {
	_, err := os.Lstat(upper)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(upper + ".old"); err == nil {
			return os.Rename(upper+".old", upper)
		}
		return nil
	}
	return errors.Join(err, os.RemoveAll(upper+".new"), os.RemoveAll(upper+".old"))
}

// entry is what tells one state of a file from another.
type entry struct {
	kind     byte
	mode     int64
	uid, gid int
	size     int64
	modified int64
	link     string
}

// entries reads a tar stream of a layer.
func entries(ctx context.Context, r io.Reader) (map[string]entry, error) {
	all := map[string]entry{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(all) == maxEntries:
			return nil, fmt.Errorf("more than %d files", maxEntries)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		e := entry{h.Typeflag, h.Mode, h.Uid, h.Gid, h.Size, h.ModTime.UnixNano(), h.Linkname}
		if h.Typeflag == tar.TypeDir {
			e.modified = 0 // it says that something in it changed
		}
		all[path.Clean("/"+h.Name)] = e
	}
}

// Diff lists what the layer upper has changed since a snapshot.
func (s Store) Diff(ctx context.Context, name, upper string) ([]unpack.Change, error) {
	r, err := s.open(name)
	if err != nil {
		return nil, err
	}
	before, err := entries(ctx, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", name, err)
	}
	now, err := current(ctx, upper)
	if err != nil {
		return nil, err
	}
	return compare(before, now), nil
}

// whiteout is how a file is called in a layer that takes it away.
const whiteout = ".wh."

// compare tells two states apart. A mark that takes something of the image away
// is no file: when it comes, what it hides is deleted.
func compare(before, now map[string]entry) (changes []unpack.Change) {
	found := map[string]byte{}
	note := func(kind byte, p string) {
		hidden, isMark := strings.CutPrefix(path.Base(p), whiteout)
		switch {
		case !isMark:
			found[p] = kind
		case kind == 'A' && hidden != ".wh..opq":
			found[path.Join(path.Dir(p), hidden)] = 'D'
		case kind == 'D' && hidden != ".wh..opq" && found[path.Join(path.Dir(p), hidden)] == 0:
			found[path.Join(path.Dir(p), hidden)] = 'A'
		}
	}
	for p := range before {
		if _, is := now[p]; !is {
			note('D', p)
		}
	}
	for p, e := range now {
		switch was, is := before[p]; {
		case !is:
			note('A', p)
		case was != e:
			note('C', p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		changes = append(changes, unpack.Change{Kind: found[p], Path: p})
	}
	return changes
}

func current(ctx context.Context, upper string) (map[string]entry, error) {
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(ctx, w, upper)
		w.CloseWithError(err)
		packed <- err
	}()
	now, err := entries(ctx, r)
	r.CloseWithError(io.ErrClosedPipe) // a writer that is left must end
	if packErr := <-packed; err == nil {
		err = packErr
	}
	return now, err
}
