package consent

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

const (
	storeFile     = "consent.db"
	schemaVersion = 1
	maxRules      = 20_000
)

// schema: `state` has one row, with the MAC over all of `rules`. `usage` and
// `ledger` change with every use; the ledger's chain and its sealed head vouch
// for it, usage is for people to read and decides nothing.
const schema = `
CREATE TABLE state(
	one INTEGER PRIMARY KEY CHECK(one = 1),
	generation INTEGER NOT NULL, high INTEGER NOT NULL, mac BLOB NOT NULL,
	head_seq INTEGER NOT NULL, head_hash BLOB NOT NULL, head_mac BLOB NOT NULL
) STRICT;
CREATE TABLE rules(
	id TEXT PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL,
	kind TEXT NOT NULL, target TEXT NOT NULL, verdict TEXT NOT NULL, lifetime TEXT NOT NULL,
	expires INTEGER NOT NULL, since INTEGER NOT NULL, by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE usage(
	rule TEXT PRIMARY KEY, used INTEGER NOT NULL, uses INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE inbox(
	id TEXT PRIMARY KEY, body BLOB NOT NULL, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger(
	seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, event TEXT NOT NULL,
	app TEXT NOT NULL, run TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
	verdict TEXT NOT NULL, source TEXT NOT NULL, rule TEXT NOT NULL, request TEXT NOT NULL,
	by TEXT NOT NULL, reason TEXT NOT NULL, app_id TEXT NOT NULL,
	bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX ledger_time ON ledger(time);
`

// store is the file under the engine: one SQLite database with one goroutine
// that writes, so that lines which come together are put on disk together.
type store struct {
	dir  string
	db   *sql.DB
	seal seal
	log  *slog.Logger

	ops  chan op
	done chan struct{} // closed when the writer has ended

	failing atomic.Bool // the last write went wrong: nothing is allowed that cannot be written down

	mu     sync.RWMutex // held for reading while an op is handed over
	closed bool

	// Of the writer alone, after open.
	generation uint64
	marked     uint64 // what the mark file says
	high       int64
	mac        []byte
	headSeq    uint64
	headHash   []byte
}

// state is what was found on disk.
type state struct {
	rules []Rule
	inbox []storedPrompt
	high  time.Time
}

// damaged is an error that means: the store is not what we wrote.
type damaged struct{ err error }

func (d damaged) Error() string {
	return "the consent store is damaged, everything is denied: " + d.err.Error()
}
func (d damaged) Unwrap() []error { return []error{ErrDamaged, d.err} }

// openStore opens or makes the store in dir and starts its writer.
func openStore(ctx context.Context, dir string, log *slog.Logger) (*store, state, error) {
	key, mark, fresh, err := findSeal(dir)
	if err != nil {
		return nil, state{}, damaged{err}
	}
	db, err := openDB(filepath.Join(dir, storeFile))
	if err != nil {
		return nil, state{}, damaged{err}
	}
	s := &store{
		dir: dir, db: db, seal: seal{key}, log: log, marked: mark,
		ops: make(chan op, queueLength), done: make(chan struct{}),
	}
	found, err := s.load(ctx, fresh)
	if err != nil {
		_ = db.Close()
		return nil, state{}, damaged{err}
	}
	go s.write()
	return s, found, nil
}

// findSeal reads key and mark. fresh means that a store may be made here:
// none was ever completed, so nothing can have been taken away.
func findSeal(dir string) (key []byte, mark uint64, fresh bool, err error) {
	if mark, err = readMark(dir); err != nil {
		return nil, 0, false, err
	}
	key, err = readKey(dir)
	if !errors.Is(err, errNoKey) {
		return key, mark, mark == 0, err
	}
	info, statErr := os.Stat(filepath.Join(dir, storeFile))
	if mark != 0 || statErr == nil && info.Size() > 0 {
		return nil, 0, false, err
	}
	key, err = makeKey(dir)
	return key, 0, true, err
}

func openDB(path string) (*sql.DB, error) {
	if err := touch(path); err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, pragma := range []string{
		"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)", "cell_size_check(1)", "trusted_schema(0)",
	} {
		query.Add("_pragma", pragma)
	}
	query.Set("_txlock", "immediate")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// touch makes the file with the right mode before SQLite can make it with another.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// load reads everything that decides, and believes none of it before the MAC fits.
func (s *store) load(ctx context.Context, fresh bool) (state, error) {
	var tables int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return state{}, fmt.Errorf("open: %w", err)
	}
	if tables == 0 {
		if !fresh {
			return state{}, errors.New("the file is empty or gone")
		}
		if err := s.create(ctx); err != nil {
			return state{}, fmt.Errorf("create: %w", err)
		}
	}
	found, err := s.loadRules(ctx)
	if err != nil {
		return state{}, err
	}
	if err := s.checkHead(ctx); err != nil {
		return state{}, err
	}
	if s.marked != s.generation {
		if err := writeMark(s.dir, s.generation); err != nil {
			return state{}, err
		}
		s.marked = s.generation
	}
	found.inbox, err = s.loadInbox(ctx)
	return found, err
}

func (s *store) create(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", schemaVersion)); err != nil {
		return err
	}
	empty := []byte{}
	_, err = tx.ExecContext(ctx, `INSERT INTO state VALUES(1, 1, 0, ?, 0, ?, ?)`,
		s.seal.rules(1, 0, nil), empty, s.seal.head(0, empty))
	if err != nil {
		return err
	}
	return tx.Commit()
}

func (s *store) loadRules(ctx context.Context) (state, error) {
	var version int
	if err := s.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return state{}, err
	}
	if version != schemaVersion {
		return state{}, fmt.Errorf("schema version %d, this program knows %d", version, schemaVersion)
	}
	row := s.db.QueryRowContext(ctx, `SELECT generation, high, mac, head_seq, head_hash, head_mac FROM state WHERE one = 1`)
	var headMAC []byte
	if err := row.Scan(&s.generation, &s.high, &s.mac, &s.headSeq, &s.headHash, &headMAC); err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	rules, err := s.readRules(ctx)
	if err != nil {
		return state{}, fmt.Errorf("read rules: %w", err)
	}
	switch {
	case !hmac.Equal(s.mac, s.seal.rules(s.generation, s.high, rules)):
		return state{}, errors.New("the rules are not the ones that were saved")
	case s.generation < s.marked:
		return state{}, fmt.Errorf("the file is an old copy: generation %d, the newest was %d", s.generation, s.marked)
	case s.generation > s.marked+1: // one more is a crash before the mark was written
		return state{}, fmt.Errorf("the generation mark is an old copy: %d, the store has %d", s.marked, s.generation)
	case !hmac.Equal(headMAC, s.seal.head(s.headSeq, s.headHash)):
		return state{}, errors.New("the ledger's head is not the one that was saved")
	}
	return state{rules: rules, high: fromNano(s.high)}, nil
}

func (s *store) readRules(ctx context.Context) ([]Rule, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT r.id, app, name, run, kind, target, verdict, lifetime, expires,
		since, by, ifnull(used, 0), ifnull(uses, 0) FROM rules r LEFT JOIN usage u ON u.rule = r.id ORDER BY since, r.id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var rules []Rule
	for rows.Next() {
		var r Rule
		var verdict string
		var expires, since, used int64
		err := rows.Scan(&r.ID, &r.App, &r.AppName, &r.Run, &r.Kind, &r.Target, &verdict, &r.Lifetime,
			&expires, &since, &r.By, &used, &r.Uses)
		if err != nil {
			return nil, err
		}
		if r.Verdict, err = parseVerdict(verdict); err != nil {
			return nil, err
		}
		r.Expires, r.Since, r.Used = fromNano(expires), fromNano(since), fromNano(used)
		if rules = append(rules, r); len(rules) > maxRules {
			return nil, fmt.Errorf("more than %d rules", maxRules)
		}
	}
	return rules, rows.Err()
}

func parseVerdict(text string) (Verdict, error) {
	switch text {
	case Allow.String():
		return Allow, nil
	case Deny.String():
		return Deny, nil
	}
	return Deny, fmt.Errorf("verdict %q is not known", text)
}

// checkHead wants the last line of the ledger to be the sealed one.
func (s *store) checkHead(ctx context.Context) error {
	if s.headSeq == 0 {
		var lines int
		err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM ledger`).Scan(&lines)
		if err == nil && lines != 0 {
			err = errors.New("has lines that were never saved")
		}
		return wrapLedger(err)
	}
	var seq uint64
	var digest []byte
	err := s.db.QueryRowContext(ctx, `SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1`).Scan(&seq, &digest)
	if err == nil && (seq != s.headSeq || !bytes.Equal(digest, s.headHash)) {
		err = errors.New("does not end with the line that was saved last")
	}
	return wrapLedger(err)
}

func wrapLedger(err error) error {
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

func toNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
