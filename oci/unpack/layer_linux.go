package unpack

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// readAhead is how much of the stream is taken at once, bytes.
const readAhead = 256 << 10

// Layer unpacks the tar stream r into dir, an empty directory. It reads r to
// its end, past the end of the archive, so that the caller's checksums cover
// all of it. When the Result is Relative, Settle must follow. On an error dir
// holds an unusable part of the layer.
func Layer(ctx context.Context, dir string, r io.Reader, limits Limits) (res *Result, err error) {
	t, err := openTree(dir, limits)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	buffered := bufio.NewReaderSize(r, readAhead)
	if err := t.unpack(ctx, tar.NewReader(buffered)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, buffered); err != nil {
		return nil, fmt.Errorf("read past the end of the archive: %w", err)
	}
	return t.finish()
}

func (t *tree) unpack(ctx context.Context, tr *tar.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := t.entry(ctx, hdr, tr); err != nil {
			return err
		}
	}
}

// entry judges one entry by its name, then writes it.
func (t *tree) entry(ctx context.Context, hdr *tar.Header, body io.Reader) error {
	if err := t.begin(hdr); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment of the tool that wrote the archive
	}
	path, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	if path == "." {
		return t.root(hdr)
	}
	role, dir, base, err := roleOf(path)
	if err != nil {
		return err
	}
	if role != ordinary {
		return t.mark(role, hdr, dir, base)
	}
	if err := checkHeader(hdr); err != nil {
		return err
	}
	return t.add(ctx, hdr, dir, base, body)
}

// mark handles the entries that are no files of the image.
func (t *tree) mark(role role, hdr *tar.Header, dir, base string) error {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeLink: // AUFS wrote whiteouts as hard links
	default:
		return hostile(hdr.Name, "a whiteout of type %q", hdr.Typeflag)
	}
	switch role {
	case whiteout:
		return t.whiteout(hdr.Name, dir, base)
	case opaque:
		return t.opaque(hdr.Name, dir)
	default:
		return nil
	}
}
