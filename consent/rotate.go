package consent

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/consent/chain"
	"github.com/consentry/consentry/internal/atomicfile"
)

// ledgerFolder holds the archives: parts of the ledger that were put away so
// that the database stays small. The file is written before the lines leave the
// database, and named after the line before its first, so that a crash between
// leaves nothing but a file that is written again.
const ledgerFolder = "ledger"

func (s *store) partPath(after uint64) string {
	return filepath.Join(s.dir, ledgerFolder, fmt.Sprintf("after-%012d.ndjson.gz", after))
}

// rotate puts the oldest lines away when there are too many, and drops the
// oldest archive when there are too many of those. Of the writer.
func (s *store) rotate() error {
	if s.low || s.ends.head.Seq-s.ends.anchor.Seq < s.limits.live || s.ends.head.Seq < s.rotateAt || !s.partsMu.TryLock() {
		return nil
	}
	defer s.partsMu.Unlock()
	s.rotateAt = s.ends.head.Seq + s.limits.part/4 //nolint:mnd // not at each line, should it fail
	ctx := context.Background()
	lines, err := s.linesAfter(ctx, s.ends.anchor.Seq, s.limits.part)
	if err != nil {
		return err
	}
	next := s.saved
	if next.ends.anchor, err = follow(lines, s.ends.anchor, keepLine); err != nil {
		return err
	}
	if next.ends.floor, err = s.nextFloor(next.ends.anchor); err != nil {
		return err
	}
	if err := s.writePart(lines, next.ends.anchor); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	s.at("archived")
	gone := s.ends.floor
	if err := s.moveAnchor(ctx, next); err != nil || gone.Is(next.ends.floor) {
		return err
	}
	if err := os.Remove(s.partPath(gone.Seq)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func keepLine(Line) error { return nil }

// nextFloor says where the ledger begins once the lines up to anchor are put away.
func (s *store) nextFloor(anchor chain.Point) (chain.Point, error) {
	floor := s.ends.floor
	if anchor.Seq-floor.Seq <= uint64(s.limits.parts)*s.limits.part { //nolint:gosec // our own limit
		return floor, nil
	}
	return s.walkPart(floor, keepLine)
}

// makeFolder makes a folder that is there after a crash too.
func makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(dir))
}

func (s *store) writePart(lines []Line, to chain.Point) error {
	if err := makeFolder(filepath.Join(s.dir, ledgerFolder)); err != nil {
		return err
	}
	return atomicfile.Stream(s.partPath(s.ends.anchor.Seq), 0o600, func(w io.Writer) error {
		zip := gzip.NewWriter(w)
		part, err := chain.NewWriter(zip, s.seal.sign, s.ends.anchor)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if err := part.Add(l); err != nil {
				return err
			}
		}
		if err := part.End(to); err != nil {
			return err
		}
		return zip.Close()
	})
}

// moveAnchor takes the lines out of the database that are in the archive now.
func (s *store) moveAnchor(ctx context.Context, next saved) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `DELETE FROM ledger WHERE seq <= ?`, int64(next.ends.anchor.Seq)); err != nil { //nolint:gosec // a number of lines
		return err
	}
	return s.finish(ctx, &transaction{tx: tx, seal: s.seal, saved: next})
}

// walkPart proves the archive that continues the chain after from.
func (s *store) walkPart(from chain.Point, f func(Line) error) (to chain.Point, err error) {
	file, err := os.Open(s.partPath(from.Seq))
	if errors.Is(err, fs.ErrNotExist) {
		return from, fmt.Errorf("the archive of the ledger from line %d on is gone", from.Seq+1)
	}
	if err != nil {
		return from, err
	}
	defer file.Close()
	zip, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return from, fmt.Errorf("the archive of the ledger from line %d on cannot be read: %w", from.Seq+1, err)
	}
	start, to, _, err := chain.Read(zip, hex.EncodeToString(s.seal.public()), f)
	switch {
	case err != nil:
		return to, fmt.Errorf("the archive of the ledger from line %d on: %w", from.Seq+1, err)
	case !start.Is(from) || to.Seq == from.Seq:
		return from, fmt.Errorf("the archive of the ledger from line %d on is another one", from.Seq+1)
	}
	return to, nil
}
