package oci

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Bounds on the tar file that carries an image.
const (
	maxArchiveEntries = 100_000
	maxArchiveLinks   = 8 // hops between names in it
)

// tarFiles is an archive on disk, read in place.
type tarFiles struct {
	file  *os.File
	at    map[string]span
	links map[string]string // old docker save links equal layers
	clean func() error      // removes a decompressed copy
}

type span struct{ offset, size int64 }

func (t *tarFiles) Close() error {
	err := t.file.Close()
	if t.clean != nil {
		err = errors.Join(err, t.clean())
	}
	return err
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	for range maxArchiveLinks {
		if s, is := t.at[name]; is {
			return io.NopCloser(io.NewSectionReader(t.file, s.offset, s.size)), s.size, nil
		}
		target, is := t.links[name]
		if !is {
			break
		}
		name = target
	}
	return nil, 0, fmt.Errorf("%s: not in the archive: %w", name, fs.ErrNotExist)
}

// openTarFile reads the table of contents of an uncompressed archive.
func openTarFile(ctx context.Context, f *os.File) (*tarFiles, error) {
	t := &tarFiles{file: f, at: map[string]span{}, links: map[string]string{}}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tr := tar.NewReader(f)
	for n := 0; ; n++ {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		switch {
		case err != nil:
			return nil, corrupt("read the archive: %w", err)
		case n == maxArchiveEntries:
			return nil, corrupt("the archive has more than %d entries", maxArchiveEntries)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		if err := t.note(hdr, info.Size()); err != nil {
			return nil, err
		}
	}
}

func (t *tarFiles) note(hdr *tar.Header, fileSize int64) error {
	name := path.Clean(strings.TrimPrefix(hdr.Name, "/"))
	switch hdr.Typeflag {
	case tar.TypeReg:
		// The tar reader takes whole blocks and no more, so it stands at the
		// file's first byte.
		offset, err := t.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if hdr.Size > fileSize-offset {
			return corrupt("the archive ends within %.200q", hdr.Name)
		}
		t.at[name] = span{offset, hdr.Size}
	case tar.TypeSymlink:
		t.links[name] = path.Join(path.Dir(name), hdr.Linkname)
	case tar.TypeLink:
		t.links[name] = path.Clean(hdr.Linkname)
	}
	return nil
}

// openArchive opens a file the user named: it must be a tar archive, perhaps
// compressed, that holds an image. scratch makes room for a decompressed copy.
func openArchive(ctx context.Context, src Source, scratch func() (*os.File, error)) (origin, error) {
	f, err := os.Open(src.Path)
	if err != nil {
		return nil, err
	}
	t, err := contents(ctx, f, scratch)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return archived(ctx, t, src.Tag, "the file")
}

// archived is the image in an archive, which is closed with it.
func archived(ctx context.Context, t *tarFiles, tag, what string) (o origin, err error) {
	_, isLayout := t.at["index.json"]
	_, isDocker := t.at["manifest.json"]
	switch {
	case isLayout:
		return &layout{files: t, tag: tag}, nil
	case isDocker:
		if o, err = openDockerSave(ctx, t, tag); err != nil {
			return nil, errors.Join(err, t.Close())
		}
		return o, nil
	}
	return nil, errors.Join(notFormat(what, "a tar archive without index.json or manifest.json"), t.Close())
}

func contents(ctx context.Context, f *os.File, scratch func() (*os.File, error)) (*tarFiles, error) {
	head := make([]byte, sniffLen)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	if compressionOf(head) != plain {
		return decompressed(ctx, f, scratch)
	}
	if what := looksLike(head); what != "" {
		return nil, notFormat("the file", what)
	}
	return openTarFile(ctx, f)
}

// decompressed copies a compressed archive to scratch, which is then read.
func decompressed(ctx context.Context, f *os.File, scratch func() (*os.File, error)) (_ *tarFiles, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	body, _, err := decompress(f)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	peek := bufio.NewReaderSize(body, sniffLen)
	head, err := peek.Peek(sniffLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, corrupt("decompress: %w", err)
	}
	if what := looksLike(head); what != "" {
		return nil, notFormat("the compressed file", what)
	}
	out, err := scratch()
	if err != nil {
		return nil, err
	}
	clean := func() error { return os.Remove(out.Name()) }
	t, err := copyArchive(ctx, out, peek)
	if err != nil {
		return nil, errors.Join(err, out.Close(), clean())
	}
	t.clean = func() error { return errors.Join(clean(), f.Close()) }
	return t, nil
}

func copyArchive(ctx context.Context, out *os.File, from io.Reader) (*tarFiles, error) {
	n, err := io.Copy(out, io.LimitReader(ctxReader{ctx, from}, maxBlob+1))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, corrupt("decompress: %w", err)
	case n > maxBlob:
		return nil, corrupt("decompresses to more than %d bytes", maxBlob)
	}
	return openTarFile(ctx, out)
}

// ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
