package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/consentry/consentry/oci/unpack"
)

// Usage is how much is in a volume.
type Usage struct {
	Bytes int64 `json:"bytes"` // of file contents, holes too
	Files int64 `json:"files"`
}

// Usage counts what is in a volume; what an app removes meanwhile is left out.
func (s *Store) Usage(ctx context.Context, name string) (u Usage, err error) {
	v, err := s.Get(name)
	if err != nil {
		return u, err
	}
	if u.Bytes, u.Files, err = unpack.Size(ctx, v.Path); err != nil {
		return u, fmt.Errorf("size of volume %s: %w", name, err)
	}
	return u, nil
}

// Backup writes the volume as a tar stream.
func (s *Store) Backup(ctx context.Context, name string, w io.Writer) (err error) {
	v, err := s.Get(name)
	if err != nil {
		return err
	}
	view, err := unpack.OpenView([]string{v.Path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	if err := view.Pack(ctx, w, ".", unpack.Packing{}); err != nil {
		return fmt.Errorf("back up volume %s: %w", name, err)
	}
	return nil
}

// Restore makes a volume of a tar stream. The error wraps ErrExists if there
// is one of that name.
func (s *Store) Restore(ctx context.Context, name string, r io.Reader) (Volume, error) {
	if _, err := s.Get(name); err == nil {
		return Volume{}, fmt.Errorf("volume %s: %w", name, ErrExists)
	} else if !errors.Is(err, ErrNotFound) {
		return Volume{}, err
	}
	if err := s.unpack(ctx, name, r); err != nil {
		return Volume{}, fmt.Errorf("restore volume %s: %w", name, err)
	}
	if err := s.writeRecord(name, Record{Created: s.now().UTC()}); err != nil {
		return Volume{}, err
	}
	return s.Get(name)
}

// Fill puts what the tree view has at path into a volume that is empty; of a
// path that is no directory, nothing.
func (s *Store) Fill(ctx context.Context, name string, view *unpack.View, path string) error {
	n, err := view.Lookup(path, true)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !n.Info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := view.Pack(ctx, w, path, unpack.Packing{})
		w.CloseWithError(err)
		packed <- err
	}()
	err = s.unpack(ctx, name, r)
	r.CloseWithError(io.ErrClosedPipe) // a writer that is left must end
	if packErr := <-packed; err == nil {
		err = packErr
	}
	if err != nil {
		return fmt.Errorf("fill volume %s: %w", name, err)
	}
	return nil
}

// unpack makes a directory of a tar stream and puts it in the place of the
// volume, which may be there if it is empty.
func (s *Store) unpack(ctx context.Context, name string, r io.Reader) (err error) {
	dir, err := os.MkdirTemp(s.dir, newPrefix)
	if err != nil {
		return err
	}
	temp := filepath.Base(dir)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.root.RemoveAll(temp))
		}
	}()
	if _, err := unpack.Layer(ctx, dir, r, unpack.DefaultLimits); err != nil {
		return err
	}
	if err := noMarks(s.root, temp); err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if errors.Is(err, syscall.ENOTEMPTY) {
			return ErrExists
		}
		return err
	}
	return s.root.Rename(temp, name)
}

var errMarks = errors.New("the archive is a layer of an image: it removes files of layers below, which a volume has not")

// noMarks refuses a tree with whiteouts in it.
func noMarks(root *os.Root, dir string) error {
	return fs.WalkDir(root.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeDevice != 0 {
			err = errMarks
		}
		return err
	})
}
