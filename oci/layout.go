package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// refName is the annotation by which a layout names its images.
const refName = "org.opencontainers.image.ref.name"

// files is what a layout or archive is read from.
type files interface {
	// open returns a regular file by its slash-separated name, and its size.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// dirFiles is a layout directory; nothing outside it is ever read.
type dirFiles struct{ root *os.Root }

func (d dirFiles) Close() error { return d.root.Close() }

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a FIFO would hang us
		return nil, 0, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

var errNotRegular = errors.New("not a regular file")

func openLayoutDir(path string) (files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if _, err := root.Stat("oci-layout"); err != nil {
		what := "no OCI layout, it is without an oci-layout file"
		if _, err := root.Stat("Dockerfile"); err == nil {
			what = "a build context; build an image of it first"
		}
		return nil, errors.Join(notFormat("the directory", what), root.Close())
	}
	return dirFiles{root}, nil
}

// layout is an origin in the OCI image layout, in a directory or an archive.
type layout struct {
	files
	tag string
}

func (l *layout) publisher() string { return "" }

func (l *layout) top(context.Context) (document, error) {
	raw, err := readFile(l.files, "index.json", maxManifest)
	if err != nil {
		return document{}, fmt.Errorf("read index.json: %w", err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return document{}, corrupt("index.json: %w", err)
	}
	d, err := pick(index.Manifests, l.tag)
	if err != nil {
		return document{}, err
	}
	if raw, err = l.manifest(context.Background(), d); err != nil {
		return document{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	doc, err := newDocument(raw, d.MediaType)
	if err != nil {
		return document{}, err
	}
	if doc.digest != d.Digest {
		return document{}, corrupt("manifest %s has digest %s", d.Digest, doc.digest)
	}
	return doc, nil
}

// pick chooses an image of index.json by its name; without one there must be
// no choice.
func pick(all []v1.Descriptor, tag string) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var names []string
	for _, d := range all {
		named := d.Annotations[refName]
		if named != "" {
			names = append(names, named)
		}
		if tag == "" || named == tag || strings.HasSuffix(named, ":"+tag) {
			found = append(found, d)
		}
	}
	slices.Sort(names)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && tag == "":
		return v1.Descriptor{}, fmt.Errorf("the layout holds no image: %w", ErrNotFound)
	case len(found) == 0:
		return v1.Descriptor{}, fmt.Errorf("the layout has no image named %q, only %q: %w", tag, names, ErrNotFound)
	}
	return v1.Descriptor{}, fmt.Errorf("the layout holds %d images; name one as PATH:NAME, of %q: %w", len(found), names, ErrNotFound)
}

func (l *layout) manifest(_ context.Context, d v1.Descriptor) ([]byte, error) {
	if !isSHA256(d.Digest) {
		return nil, corrupt("the digest %.100q is no sha256 digest", d.Digest)
	}
	return readFile(l.files, blobName(d.Digest), maxManifest)
}

func (l *layout) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	f, size, err := l.open(blobName(d.Digest))
	if err != nil {
		return nil, missing(err)
	}
	if size != d.Size {
		return nil, errors.Join(corrupt("blob %s is %d bytes, the manifest says %d", d.Digest, size, d.Size), f.Close())
	}
	return f, nil
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// missing: a file that another file of the image promised.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt("%w", err)
	}
	return err
}

func readFile(from files, name string, limit int64) ([]byte, error) {
	f, size, err := from.open(name)
	if err != nil {
		return nil, missing(err)
	}
	if size > limit {
		return nil, errors.Join(corrupt("%s is %d bytes, more than %d", name, size, limit), f.Close())
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit))
	return raw, errors.Join(cut(err), f.Close())
}
