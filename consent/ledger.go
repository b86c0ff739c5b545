package consent

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Query selects lines of the ledger. Empty fields select everything.
type Query struct {
	Since time.Time
	App   string // name, or ID
	Run   string
	Kind  string
	After uint64 // only lines with a greater Seq
	Limit int    // 0: 1,000; at most 10,000
}

const (
	defaultLines = 1_000
	maxLines     = 10_000
)

const lineColumns = `seq, time, event, app, run, kind, target, verdict, source, rule, request, by, reason, app_id,
	bytes_in, bytes_out, hash`

// Log returns lines, oldest first; with After 0 the newest Limit ones. Lines
// that were put away into archives are not among them; Export has them.
func (e *Engine) Log(ctx context.Context, q Query) ([]Line, error) {
	if e.store == nil {
		return nil, e.Health()
	}
	e.store.flush()
	lines, err := e.store.read(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return lines, nil
}

func (s *store) read(ctx context.Context, q Query) ([]Line, error) {
	where, args := q.where()
	limit := min(q.Limit, maxLines)
	if limit <= 0 {
		limit = defaultLines
	}
	order := "DESC" // the newest ones, turned round below
	if q.After > 0 {
		order = "ASC"
	}
	query := fmt.Sprintf(`SELECT * FROM (SELECT %s FROM ledger WHERE %s ORDER BY seq %s LIMIT %d) ORDER BY seq`,
		lineColumns, where, order, limit)
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanLines(rows)
}

// where builds the condition from fixed words; what the user gave are arguments.
func (q Query) where() (string, []any) {
	words := []string{"seq > ?"}
	args := []any{int64(q.After)} //nolint:gosec // a number of lines
	add := func(word string, arg ...any) {
		words = append(words, word)
		args = append(args, arg...)
	}
	if !q.Since.IsZero() {
		add("time >= ?", q.Since.UnixNano())
	}
	if q.App != "" {
		add("(app = ? OR app_id = ?)", q.App, q.App)
	}
	if q.Run != "" {
		add("run = ?", q.Run)
	}
	if q.Kind != "" {
		add("kind = ?", q.Kind)
	}
	return strings.Join(words, " AND "), args
}

func scanLines(rows *sql.Rows) ([]Line, error) {
	defer func() { _ = rows.Close() }()
	var lines []Line
	for rows.Next() {
		var l Line
		var when int64
		var digest []byte
		err := rows.Scan(&l.Seq, &when, &l.Event, &l.App, &l.Run, &l.Kind, &l.Target, &l.Verdict, &l.Source,
			&l.Rule, &l.Request, &l.By, &l.Reason, &l.AppID, &l.In, &l.Out, &digest)
		if err != nil {
			return nil, err
		}
		l.Time = fromNano(when)
		l.Hash = hex.EncodeToString(digest)
		lines = append(lines, l)
	}
	return lines, rows.Err()
}
