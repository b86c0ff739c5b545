package consent

import (
	"context"
	"encoding/hex"
	"fmt"
)

// VerifyLog walks the whole ledger, archives included, and returns how many
// lines fit the chain. The error names the first that does not; a cut-off end,
// and an archive that is gone, is one too.
func (e *Engine) VerifyLog(ctx context.Context) (lines uint64, err error) {
	if e.store == nil {
		return 0, e.Health()
	}
	from, to, err := e.store.walk(ctx, keepLine)
	return to.seq - from.seq, err
}

// walk proves the chain from the floor to the head and calls f with each line
// once it is proved. It returns how far it came: after an error, to the last
// line that fits.
func (s *store) walk(ctx context.Context, f func(Line) error) (from, to point, err error) {
	s.partsMu.RLock() // lines stay where they are
	defer s.partsMu.RUnlock()
	e, err := s.readEnds(ctx)
	if err != nil {
		return point{}, point{}, err
	}
	to, err = s.walkKept(ctx, e, f)
	return e.floor, to, err
}

// walkKept is walk with the archives kept as they are.
func (s *store) walkKept(ctx context.Context, e ends, f func(Line) error) (to point, err error) {
	to = e.floor
	for to.seq < e.anchor.seq {
		if to, err = s.walkPart(to, f); err != nil {
			return to, err
		}
	}
	if !to.is(e.anchor) {
		return to, fmt.Errorf("the archives of the ledger end with line %d, the saved ones ended with %d", to.seq, e.anchor.seq)
	}
	for {
		// The ends first: lines written meanwhile are beyond them.
		if e, err = s.readEnds(ctx); err != nil {
			return to, err
		}
		lines, err := s.linesAfter(ctx, to.seq, defaultLines)
		if err != nil {
			return to, wrapLedger(err)
		}
		if len(lines) == 0 {
			break
		}
		if to, err = follow(lines, to, f); err != nil {
			return to, err
		}
	}
	if !to.is(e.head) {
		return to, fmt.Errorf("the ledger ends with line %d, the last one saved was %d", to.seq, e.head.seq)
	}
	return to, nil
}

func (s *store) linesAfter(ctx context.Context, seq, limit uint64) ([]Line, error) {
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM ledger WHERE seq > ? ORDER BY seq LIMIT %d`, lineColumns, limit),
		int64(seq)) //nolint:gosec // a number of lines
	if err != nil {
		return nil, err
	}
	return scanLines(rows)
}

// follow checks that lines continue the chain after last, and where they lead.
func follow(lines []Line, last point, f func(Line) error) (point, error) {
	for i := range lines {
		next, err := lines[i].follow(last)
		if err != nil {
			return last, err
		}
		last = next
		if err := f(lines[i]); err != nil {
			return last, err
		}
	}
	return last, nil
}

func (l *Line) follow(last point) (point, error) {
	if l.Seq != last.seq+1 {
		return last, fmt.Errorf("the ledger has no line %d, it goes on with %d", last.seq+1, l.Seq)
	}
	digest := l.digest(last.hash)
	if hex.EncodeToString(digest) != l.Hash {
		return last, fmt.Errorf("line %d of the ledger was changed", l.Seq)
	}
	return point{l.Seq, digest}, nil
}
