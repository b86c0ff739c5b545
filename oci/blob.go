package oci

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/consentry/consentry/oci/inflate"
)

const (
	readBuffer = 4 << 10   // to look at a stream's head; what reads it has buffers
	zstdMemory = 128 << 20 // bytes a zstd frame may want for its window
)

// decompress undoes gzip or zstd, by the stream's first bytes.
func decompress(r io.Reader) (io.ReadCloser, compression, error) {
	buffered := bufio.NewReaderSize(r, readBuffer)
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, plain, err
	}
	kind := compressionOf(head)
	switch kind {
	case gzipped:
		return io.NopCloser(inflate.NewReader(buffered)), kind, nil
	case zstandard:
		zr, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory), zstd.WithDecoderMaxWindow(zstdMemory))
		if err != nil {
			return nil, kind, corrupt("zstd: %w", err)
		}
		return zr.IOReadCloser(), kind, nil
	}
	return io.NopCloser(buffered), kind, nil
}

// summed hashes and counts what is read.
type summed struct {
	r   io.Reader
	sum hash.Hash
	n   atomic.Int64 // may be asked for meanwhile
}

func newSummed(r io.Reader) *summed { return &summed{r: r, sum: sha256.New()} }

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	s.n.Add(int64(n))
	return n, err
}

func (s *summed) digest() string { return "sha256:" + hex.EncodeToString(s.sum.Sum(nil)) }

// Bombs: gzip reaches 1,030:1 on zeros, honest layers stay far below 100:1.
const (
	ratioFrom = 1 << 30 // bytes unpacked before the ratio is judged
	maxRatio  = 200
)

// ratioed fails a stream that grows beyond what honest data does.
type ratioed struct {
	r    io.Reader
	from *summed // the compressed side
	n    int64
}

func (b *ratioed) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > ratioFrom && b.n/maxRatio > b.from.n.Load() {
		return n, fmt.Errorf("%d bytes became more than %d: %w", b.from.n.Load(), b.n, errBomb)
	}
	return n, err
}

var errBomb = errors.New("layer is a decompression bomb")

// exactly fails a stream that is longer than size.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 {
		return 0, corrupt("longer than its manifest says")
	}
	return n, err
}
