package review

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/internal/atomicfile"
)

// Record is what was reviewed of one app. It only keeps lines from being shown
// again: an edited one leads to questions when the app runs, never to a grant.
type Record struct {
	App      app.ID    `json:"app"`
	Name     string    `json:"name"`
	Digest   string    `json:"digest"`
	Lines    []Line    `json:"lines"`
	Reviewed time.Time `json:"reviewed"`
}

// Records is a folder of them, one file each.
type Records struct{ dir string }

// maxRecord bounds a record's file, in bytes: a manifest, its texts cleaned and
// escaped.
const maxRecord = 1 << 20

// OpenRecords makes the folder if need be.
func OpenRecords(dir string) (*Records, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("records of reviews: %w", err)
	}
	return &Records{dir: dir}, nil
}

// Path is the file of an app's record.
func (r *Records) Path(id app.ID) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:])+".json")
}

// Load returns what was reviewed of an app; false if nothing was, or nothing
// readable.
func (r *Records) Load(id app.ID) (Record, bool) {
	rec, err := readRecord(r.Path(id))
	return rec, err == nil && rec.App == id
}

func readRecord(path string) (rec Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return rec, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err == nil && len(raw) > maxRecord {
		err = errors.New("too long")
	}
	if err == nil {
		err = json.Unmarshal(raw, &rec)
	}
	return rec, err
}

// Save replaces the record of an app.
func (r *Records) Save(rec Record) error {
	raw, err := json.Marshal(rec)
	if err == nil {
		err = atomicfile.Write(r.Path(rec.App), raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("record of a review: %w", err)
	}
	return nil
}
