package cli

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// extraction is a tar stream of an app that is written into a folder of the
// user's. The app has chosen every name and link in it: nothing outside the
// folder is written, and links that lead out of what is copied are left out.
type extraction struct {
	root *os.Root
	top  string // what the stream's first name is called instead; "" for its own
	from string // the stream's first name

	files   int
	left    []string // what was left out
	folders []*tar.Header
}

// extract writes the stream into the folder dir.
func extract(r io.Reader, dir, top string) (*extraction, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	e := &extraction{root: root, top: top}
	err = e.all(tar.NewReader(r))
	return e, errors.Join(err, root.Close())
}

func (e *extraction) all(tr *tar.Reader) error {
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return e.finish()
		}
		if err != nil {
			return fmt.Errorf("read what the app has: %w", err)
		}
		if err := e.entry(hdr, tr); err != nil {
			return err
		}
	}
}

// place is where an entry goes, below the folder.
func (e *extraction) place(name string) (string, error) {
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("the app has a file called %q, which cannot be written", plain(name))
	}
	if e.from == "" {
		e.from = clean
	}
	rest, below := strings.CutPrefix(clean, e.from)
	if e.top != "" && below && (rest == "" || rest[0] == '/') {
		return e.top + rest, nil
	}
	if e.top != "" && e.from == "." {
		return path.Join(e.top, clean), nil
	}
	return clean, nil
}

func (e *extraction) entry(hdr *tar.Header, body io.Reader) error {
	name, err := e.place(hdr.Name)
	if err != nil {
		return err
	}
	e.files++
	switch hdr.Typeflag {
	case tar.TypeDir:
		hdr.Name = name
		e.folders = append(e.folders, hdr)
		return e.folder(name)
	case tar.TypeReg:
		return e.file(name, hdr, body)
	case tar.TypeSymlink:
		return e.symlink(name, hdr.Linkname)
	case tar.TypeLink:
		old, err := e.place(hdr.Linkname)
		if err != nil {
			return err
		}
		return errors.Join(e.clear(name), e.root.Link(old, name))
	}
	e.leave(name)
	return nil
}

func (e *extraction) leave(name string) {
	e.files--
	e.left = append(e.left, name)
}

func (e *extraction) folder(name string) error {
	err := e.root.Mkdir(filepath.FromSlash(name), 0o700)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := e.root.Lstat(name); statErr == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

// clear removes a file that is in the way.
func (e *extraction) clear(name string) error {
	info, err := e.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder", plain(name))
	}
	return e.root.Remove(name)
}

func (e *extraction) file(name string, hdr *tar.Header, body io.Reader) error {
	if err := e.clear(name); err != nil {
		return err
	}
	mode := hdr.FileInfo().Mode().Perm() // no set-uid bit comes out of an app
	f, err := e.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", plain(name), err)
	}
	return e.times(name, hdr.ModTime)
}

func (e *extraction) times(name string, at time.Time) error { return e.root.Chtimes(name, at, at) }

// symlink makes a link that stays below the top of what is copied.
func (e *extraction) symlink(name, target string) error {
	top, _, _ := strings.Cut(name, "/")
	leads := path.Join(path.Dir(name), target)
	inside := leads == top || strings.HasPrefix(leads, top+"/")
	if path.IsAbs(target) || filepath.IsAbs(target) || !inside || name == top || strings.ContainsAny(target, "\\:") {
		e.leave(name)
		return nil
	}
	return errors.Join(e.clear(name), e.root.Symlink(filepath.FromSlash(target), name))
}

// finish gives folders what would have kept files out of them.
func (e *extraction) finish() error {
	for i := len(e.folders) - 1; i >= 0; i-- {
		hdr := e.folders[i]
		if hdr.Name == "." {
			continue
		}
		if err := errors.Join(e.root.Chmod(hdr.Name, hdr.FileInfo().Mode().Perm()), e.times(hdr.Name, hdr.ModTime)); err != nil {
			return err
		}
	}
	return nil
}
