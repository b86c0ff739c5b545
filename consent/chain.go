package consent

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/consent/chain"
)

// VerifyLog walks the whole ledger, archives included, and returns how many
// lines fit the chain. The error names the first that does not; a cut-off end,
// and an archive that is gone, is one too.
func (e *Engine) VerifyLog(ctx context.Context) (lines uint64, err error) {
	if e.store == nil {
		return 0, e.Health()
	}
	from, to, err := e.store.walk(ctx, keepLine)
	return to.Seq - from.Seq, err
}

// walk proves the chain from the floor to the head and calls f with each line
// once it is proved. It returns how far it came: after an error, to the last
// line that fits.
func (s *store) walk(ctx context.Context, f func(Line) error) (from, to chain.Point, err error) {
	s.flush()
	s.partsMu.RLock() // lines stay where they are
	defer s.partsMu.RUnlock()
	e, err := s.readEnds(ctx)
	if err != nil {
		return chain.Point{}, chain.Point{}, err
	}
	to, err = s.walkKept(ctx, e, f)
	return e.floor, to, err
}

// walkKept is walk with the archives kept as they are.
func (s *store) walkKept(ctx context.Context, e ends, f func(Line) error) (to chain.Point, err error) {
	to = e.floor
	for to.Seq < e.anchor.Seq {
		if to, err = s.walkPart(to, f); err != nil {
			return to, err
		}
	}
	if !to.Is(e.anchor) {
		return to, fmt.Errorf("the archives of the ledger end with line %d, the saved ones ended with %d", to.Seq, e.anchor.Seq)
	}
	for {
		// The ends first: lines written meanwhile are beyond them.
		if e, err = s.readEnds(ctx); err != nil {
			return to, err
		}
		lines, err := s.linesAfter(ctx, to.Seq, defaultLines)
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
	if !to.Is(e.head) {
		return to, fmt.Errorf("the ledger ends with line %d, the last one saved was %d", to.Seq, e.head.Seq)
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
func follow(lines []Line, last chain.Point, f func(Line) error) (chain.Point, error) {
	for i := range lines {
		next, err := lines[i].Follow(last)
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
