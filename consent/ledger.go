package consent

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/hex"
	"encoding/json"
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

// Log returns lines, oldest first; with After 0 the newest Limit ones.
func (e *Engine) Log(ctx context.Context, q Query) ([]Line, error) {
	if e.store == nil {
		return nil, e.Health()
	}
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

// VerifyLog walks the whole ledger and returns how many lines fit the chain.
// The error names the first that does not; a cut-off end is one too.
func (e *Engine) VerifyLog(ctx context.Context) (lines uint64, err error) {
	if e.store == nil {
		return 0, e.Health()
	}
	return e.store.verify(ctx)
}

func (s *store) verify(ctx context.Context) (uint64, error) {
	var seq, headSeq uint64
	var headHash, headMAC, last []byte
	for {
		// The head first: lines written meanwhile are beyond it.
		row := s.db.QueryRowContext(ctx, `SELECT head_seq, head_hash, head_mac FROM state WHERE one = 1`)
		if err := row.Scan(&headSeq, &headHash, &headMAC); err != nil {
			return seq, fmt.Errorf("read the ledger's head: %w", err)
		}
		if !hmac.Equal(headMAC, s.seal.head(headSeq, headHash)) {
			return seq, fmt.Errorf("the ledger's head is not the one that was saved")
		}
		lines, err := s.read(ctx, Query{After: seq, Limit: defaultLines})
		if seq == 0 && err == nil {
			lines, err = s.first(ctx)
		}
		if err != nil {
			return seq, fmt.Errorf("read ledger: %w", err)
		}
		if len(lines) == 0 {
			break
		}
		if seq, last, err = follow(lines, seq, last); err != nil {
			return seq, err
		}
	}
	if seq != headSeq || !bytes.Equal(last, headHash) {
		return seq, fmt.Errorf("the ledger ends with line %d, the last one saved was %d", seq, headSeq)
	}
	return seq, nil
}

func (s *store) first(ctx context.Context) ([]Line, error) {
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM ledger ORDER BY seq LIMIT %d`, lineColumns, defaultLines))
	if err != nil {
		return nil, err
	}
	return scanLines(rows)
}

// follow checks that lines continue the chain after line seq with hash last.
func follow(lines []Line, seq uint64, last []byte) (uint64, []byte, error) {
	for i := range lines {
		l := &lines[i]
		if l.Seq != seq+1 {
			return seq, last, fmt.Errorf("the ledger has no line %d, it goes on with %d", seq+1, l.Seq)
		}
		digest := l.digest(last)
		if hex.EncodeToString(digest) != l.Hash {
			return seq, last, fmt.Errorf("line %d of the ledger was changed", l.Seq)
		}
		seq, last = l.Seq, digest
	}
	return seq, last, nil
}

// loadInbox drops what was edited: it would be answered for another app.
func (s *store) loadInbox(ctx context.Context) ([]storedPrompt, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, body, mac FROM inbox`)
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []storedPrompt
	for rows.Next() {
		var p storedPrompt
		var body, mac []byte
		if err := rows.Scan(&p.id, &body, &mac); err != nil {
			return nil, fmt.Errorf("read inbox: %w", err)
		}
		if !hmac.Equal(mac, s.seal.inbox(p.id, body)) || json.Unmarshal(body, &p.body) != nil {
			s.log.Warn("consent: a request in the inbox was changed on disk and is dropped", "id", p.id)
			continue
		}
		found = append(found, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	return found, nil
}
