package consent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
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
	schemaVersion = 3
	maxRules      = 20_000
)

// schema: `state` has one row, with the MAC over all of `rules`. `usage` and
// `ledger` change with every use; the ledger's chain and its signed ends vouch
// for it, usage is for people to read and decides nothing.
const schema = `
CREATE TABLE state(
	one INTEGER PRIMARY KEY CHECK(one = 1),
	generation INTEGER NOT NULL, high INTEGER NOT NULL, mac BLOB NOT NULL,
	floor_seq INTEGER NOT NULL, floor_hash BLOB NOT NULL,
	anchor_seq INTEGER NOT NULL, anchor_hash BLOB NOT NULL,
	head_seq INTEGER NOT NULL, head_hash BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE rules(
	id TEXT PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL,
	kind TEXT NOT NULL, target TEXT NOT NULL, verdict TEXT NOT NULL, lifetime TEXT NOT NULL,
	expires INTEGER NOT NULL, since INTEGER NOT NULL, by TEXT NOT NULL,
	shape TEXT NOT NULL DEFAULT ''
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

// limits bound what the store takes of the disk. Zero fields mean the defaults.
type limits struct {
	live    uint64 // lines of the ledger in the database before some are put away
	part    uint64 // lines put away at once, into one file
	parts   int    // such files kept
	reserve int64  // bytes kept free for answers on a full disk
}

func (l limits) orDefault() limits {
	return limits{
		live: cmp.Or(l.live, 65_536), part: cmp.Or(l.part, 16_384),
		parts: cmp.Or(l.parts, 64), reserve: cmp.Or(l.reserve, 4<<20),
	}
}

// store is the file under the engine: one SQLite database with one goroutine
// that writes, so that lines which come together are put on disk together.
type store struct {
	dir      string
	db       *sql.DB
	keychain Keychain
	seal     seal
	limits   limits
	log      *slog.Logger
	step     func(string) // of tests; may be nil

	ops  chan op
	done chan struct{} // closed when the writer has ended

	// What the last write met: nothing is allowed that cannot be written down.
	trouble atomic.Pointer[error]

	mu     sync.RWMutex // held for reading while an op is handed over
	closed bool

	// partsMu keeps the archives as they are while they are read.
	partsMu sync.RWMutex

	// Of the writer alone, after open.
	saved
	marked   uint64 // what the keychain says
	low      bool   // the reserve is spent
	rotateAt uint64 // no rotation before this line
}

// saved mirrors the row of state on disk.
type saved struct {
	generation uint64
	high       int64
	mac        []byte
	ends       ends
}

// state is what was found on disk.
type state struct {
	rules []Rule
	inbox []storedPrompt
	high  time.Time
}

var errGone = errors.New("the file is empty or gone")

// damaged is an error that means: the store is not what we wrote.
type damaged struct{ err error }

func (d damaged) Error() string {
	return "the consent store is damaged, everything is denied: " + d.err.Error()
}
func (d damaged) Unwrap() []error { return []error{ErrDamaged, d.err} }

// noKeychain is an error that means: nothing is wrong with the store, but what
// would prove it cannot be had.
type noKeychain struct{ err error }

func (n noKeychain) Error() string {
	return "the keychain with the consent store's key does not serve: " + n.err.Error()
}
func (n noKeychain) Unwrap() []error { return []error{ErrKeychain, n.err} }

// faultOf says what an error at the start means.
func faultOf(err error) error {
	if errors.Is(err, ErrKeychain) {
		return fmt.Errorf("everything is denied: %w", err)
	}
	return damaged{err}
}

// openStore opens or makes the store in dir and starts its writer.
func openStore(ctx context.Context, cfg Config) (*store, state, error) {
	s := &store{
		dir: cfg.Dir, keychain: cfg.Keychain, limits: cfg.limits.orDefault(), log: cfg.Log, step: cfg.step,
		ops: make(chan op, queueLength), done: make(chan struct{}),
	}
	found, err := s.open(ctx)
	if err != nil {
		if s.db != nil {
			_ = s.db.Close()
		}
		return nil, state{}, faultOf(err)
	}
	if err := s.makeReserve(); err != nil {
		s.setLow(err)
	}
	go s.write()
	return s, found, nil
}

func (s *store) open(ctx context.Context) (state, error) {
	key, fresh, err := s.findKey()
	if err != nil {
		return state{}, err
	}
	if s.seal, err = newSeal(key); err != nil {
		return state{}, err
	}
	info, err := os.Stat(filepath.Join(s.dir, storeFile))
	if !fresh && (err != nil || info.Size() == 0) { // as it is: SQLite would make a new one
		return state{}, errGone
	}
	if s.db, err = openDB(filepath.Join(s.dir, storeFile)); err != nil {
		return state{}, err
	}
	return s.load(ctx, fresh)
}

// findKey reads the mark and the key. fresh means that a store may be made
// here: none was ever completed, so nothing can have been taken away.
func (s *store) findKey() (key []byte, fresh bool, err error) {
	if s.marked, err = readMark(s.keychain); err != nil {
		return nil, false, err
	}
	key, err = readKey(s.keychain)
	if !errors.Is(err, errNoKey) {
		return key, s.marked == 0, err
	}
	info, statErr := os.Stat(filepath.Join(s.dir, storeFile))
	if s.marked != 0 || statErr == nil && info.Size() > 0 {
		return nil, false, err
	}
	key, err = makeKey(s.keychain)
	return key, true, err
}

func openDB(path string) (*sql.DB, error) {
	if err := touch(path); err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, pragma := range []string{
		"busy_timeout(2000)", "locking_mode(EXCLUSIVE)", "synchronous(FULL)", "cell_size_check(1)", "trusted_schema(0)",
	} {
		query.Add("_pragma", pragma)
	}
	query.Set("_journal_mode", "WAL") // after it is exclusive: the index of the log is then in memory, not in a file
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
			return state{}, errGone
		}
		if err := s.create(ctx); err != nil {
			return state{}, fmt.Errorf("create: %w", err)
		}
	}
	found, err := s.loadRules(ctx)
	if err != nil {
		return state{}, err
	}
	if err := s.checkEnds(ctx); err != nil {
		return state{}, err
	}
	if s.marked != s.generation {
		if err := writeMark(s.keychain, s.generation); err != nil {
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
	_, err = tx.ExecContext(ctx, `INSERT INTO state VALUES(1, 1, 0, ?, 0, ?, 0, ?, 0, ?, ?)`,
		s.seal.rules(1, 0, nil), empty, empty, empty, s.seal.signature(ends{}))
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
	if version == schemaVersion-1 {
		if err := s.upgrade(ctx); err != nil {
			return state{}, fmt.Errorf("upgrade: %w", err)
		}
	} else if version != schemaVersion {
		return state{}, fmt.Errorf("schema version %d, this program knows %d", version, schemaVersion)
	}
	row := s.db.QueryRowContext(ctx, `SELECT generation, high, mac FROM state WHERE one = 1`)
	if err := row.Scan(&s.generation, &s.high, &s.mac); err != nil {
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
	}
	return state{rules: rules, high: fromNano(s.high)}, nil
}

// upgrade adds the column that version 2 had not. Without a shape in it the set
// of rules has the same MAC as before, so that the file is proved as it was.
func (s *store) upgrade(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "ALTER TABLE rules ADD COLUMN shape TEXT NOT NULL DEFAULT ''"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *store) readRules(ctx context.Context) ([]Rule, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT r.id, app, name, run, kind, target, verdict, lifetime, expires,
		since, by, shape, ifnull(used, 0), ifnull(uses, 0) FROM rules r LEFT JOIN usage u ON u.rule = r.id ORDER BY since, r.id`)
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
			&expires, &since, &r.By, &r.Shape, &used, &r.Uses)
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

// readEnds believes the ends of the ledger only with their signature.
func (s *store) readEnds(ctx context.Context) (ends, error) {
	var e ends
	var signature []byte
	row := s.db.QueryRowContext(ctx, `SELECT floor_seq, floor_hash, anchor_seq, anchor_hash, head_seq, head_hash, signature
		FROM state WHERE one = 1`)
	err := row.Scan(&e.floor.Seq, &e.floor.Hash, &e.anchor.Seq, &e.anchor.Hash, &e.head.Seq, &e.head.Hash, &signature)
	if err == nil && !ed25519.Verify(s.seal.public(), e.message(), signature) {
		err = errors.New("its ends are not the ones that were saved")
	}
	return e, wrapLedger(err)
}

// checkEnds wants the lines in the database to begin and end where they were
// saved to. What is between is for VerifyLog.
func (s *store) checkEnds(ctx context.Context) (err error) {
	if s.ends, err = s.readEnds(ctx); err != nil {
		return err
	}
	var lines, first, last uint64
	row := s.db.QueryRowContext(ctx, `SELECT count(*), ifnull(min(seq), 0), ifnull(max(seq), 0) FROM ledger`)
	if err := row.Scan(&lines, &first, &last); err != nil {
		return wrapLedger(err)
	}
	want := s.ends.head.Seq - s.ends.anchor.Seq
	if lines != want || want > 0 && (first != s.ends.anchor.Seq+1 || last != s.ends.head.Seq) {
		return wrapLedger(fmt.Errorf("it has lines %d to %d (%d), saved were %d to %d", first, last, lines,
			s.ends.anchor.Seq+1, s.ends.head.Seq))
	}
	if want == 0 {
		return nil
	}
	var digest []byte
	err = s.db.QueryRowContext(ctx, `SELECT hash FROM ledger WHERE seq = ?`, int64(last)).Scan(&digest) //nolint:gosec // a number of lines
	if err == nil && !bytes.Equal(digest, s.ends.head.Hash) {
		err = errors.New("its last line is not the one that was saved")
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
