package userdata

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// picked is the source of files: those that the user named in the answer.
type picked struct{}

// Records has the files that are there. The content of each is its path, which
// the agent puts a handle in the place of: an app learns no path.
func (picked) Records(_ context.Context, q Query) ([]data.Record, error) {
	var all []data.Record
	for _, path := range q.Only {
		f, err := openPicked(path)
		if err != nil {
			continue // gone: as if it had not been picked
		}
		info, err := f.Stat()
		f.Close()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		sum := sha256.Sum256([]byte(path))
		all = append(all, data.Record{ID: hex.EncodeToString(sum[:]), Names: []string{path}, Fields: map[string]any{
			"content": path, "name": filepath.Base(path), "size": info.Size(), "modified": info.ModTime().UTC().Format(time.RFC3339),
		}})
	}
	return all, nil
}

// Pick checks a file that the user picks and returns the path without links
// under which it will be opened.
func Pick(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s is no file", sandbox.ErrInvalid, path)
	}
	return real, nil
}

// ReadPicked reads a piece of a picked file.
func ReadPicked(path string, p sandbox.FilePiece) (sandbox.FileData, error) {
	if p.Offset < 0 || p.Length < 0 || p.Length > sandbox.MaxPiece {
		return sandbox.FileData{}, fmt.Errorf("%w: a piece has up to %d bytes", sandbox.ErrInvalid, sandbox.MaxPiece)
	}
	f, err := openPicked(path)
	if err != nil {
		return sandbox.FileData{}, sandbox.ErrNothing
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return sandbox.FileData{}, sandbox.ErrNothing
	}
	got := sandbox.FileData{Size: info.Size()}
	if p.Length == 0 {
		return got, nil
	}
	buf := make([]byte, min(int64(p.Length), max(info.Size()-p.Offset, 0)))
	n, err := f.ReadAt(buf, p.Offset)
	if err != nil && err != io.EOF { //nolint:errorlint // ReadAt returns it as it is
		return sandbox.FileData{}, sandbox.ErrUnavailable
	}
	got.Data = buf[:n]
	return got, nil
}
