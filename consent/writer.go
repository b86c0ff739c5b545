package consent

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	queueLength = 1024
	maxBatch    = 1024
	groupWait   = 50 * time.Millisecond // for lines nobody waits for
	maxUnsaved  = 16 * 1024             // such lines kept while the disk is full
)

// op is one change of the store. All that is in it is on disk or none of it.
type op struct {
	lines []Line
	rules *ruleChange
	put   *storedPrompt // into the inbox
	drop  []string      // from the inbox
	uses  []usage
	done  chan<- error // nil: nobody waits for it
}

// ruleChange replaces rules; all is the whole set afterwards.
type ruleChange struct {
	remove []string
	add    []Rule
	all    []Rule
	high   int64
}

// usage is the latest count of a rule.
type usage struct {
	rule string
	used int64
	uses int64
}

// storedPrompt is a request of the inbox as it lies on disk.
type storedPrompt struct {
	id   string
	body promptBody
}

type promptBody struct {
	Asked   time.Time `json:"asked"`
	Count   int       `json:"count"`
	Request Request   `json:"request"`
}

var errClosed = errors.New("the consent store is closed")

// commit puts the op on disk before it returns nil.
func (s *store) commit(o op) error {
	done := make(chan error, 1)
	o.done = done
	if err := s.hand(o); err != nil {
		return err
	}
	return <-done
}

// queue has the op put on disk within 100 ms. It waits only while the queue is full.
func (s *store) queue(o op) {
	if err := s.hand(o); err != nil {
		s.log.Warn("consent: a ledger line came after the end", "err", err)
	}
}

func (s *store) hand(o op) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	s.ops <- o
	return nil
}

// close writes what is queued and closes the file.
func (s *store) close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	if !already {
		close(s.ops)
	}
	s.mu.Unlock()
	<-s.done
	if already {
		return nil
	}
	return s.db.Close()
}

// write is the writer: it takes ops together that come together.
func (s *store) write() {
	defer close(s.done)
	var unsaved []op
	for more := true; more; {
		var batch []op
		batch, more = s.gather(len(unsaved) > 0)
		unsaved = s.save(append(unsaved, batch...))
	}
	if len(unsaved) > 0 {
		s.log.Error("consent: ledger lines lost at the end", "lines", len(unsaved))
	}
}

// gather waits for an op, and then for the ones right behind it: until one of
// them is waited for, or groupWait is over. With retry it waits no longer than that.
func (s *store) gather(retry bool) (batch []op, more bool) {
	var timeout <-chan time.Time
	startTimer := func() {
		timer := time.NewTimer(groupWait)
		timeout = timer.C
	}
	if retry {
		startTimer()
	}
	for urgent := false; len(batch) < maxBatch; {
		if urgent { // take what is there, wait for nothing
			select {
			case o, ok := <-s.ops:
				if !ok {
					return batch, false
				}
				batch = append(batch, o)
				continue
			default:
				return batch, true
			}
		}
		select {
		case o, ok := <-s.ops:
			if !ok {
				return batch, false
			}
			batch = append(batch, o)
			urgent = o.done != nil
			if timeout == nil {
				startTimer()
			}
		case <-timeout:
			return batch, true
		}
	}
	return batch, true
}

// save puts the batch on disk, in one transaction if that works, one by one if
// not. It returns the ops that nobody waits for and that must be tried again.
func (s *store) save(batch []op) (unsaved []op) {
	if len(batch) == 0 {
		return nil
	}
	if err := s.apply(batch); err == nil {
		s.failing.Store(false)
		tell(batch, nil)
		return nil
	}
	for _, o := range batch {
		err := s.apply([]op{o})
		s.failing.Store(err != nil)
		switch {
		case err == nil:
			tell([]op{o}, nil)
		case o.done != nil:
			o.done <- err
		case len(unsaved) < maxUnsaved:
			unsaved = append(unsaved, o)
		default:
			s.log.Error("consent: a ledger line is lost", "err", err)
		}
	}
	return unsaved
}

func tell(batch []op, err error) {
	for _, o := range batch {
		if o.done != nil {
			o.done <- err
		}
	}
}

// apply is one transaction. The fields that mirror the disk move only when it
// is through.
func (s *store) apply(batch []op) error {
	ctx := context.Background() // what was answered is saved, whoever has left
	if err := s.catchUpMark(batch); err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	next := store{seal: s.seal, generation: s.generation, high: s.high, mac: s.mac, headSeq: s.headSeq, headHash: s.headHash}
	for _, o := range batch {
		if err := next.applyOne(ctx, tx, o); err != nil {
			return err
		}
	}
	if err := s.replaceState(ctx, tx, &next); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.generation, s.high, s.mac, s.headSeq, s.headHash = next.generation, next.high, next.mac, next.headSeq, next.headHash
	if err := s.catchUpMark(nil); err != nil {
		// The rules are saved. Until the mark follows, no other change is.
		s.log.Error("consent: the generation mark cannot be written", "err", err)
	}
	return nil
}

// catchUpMark keeps the mark at most one generation behind: a batch that
// changes rules has to wait until it can be written.
func (s *store) catchUpMark(batch []op) error {
	changes := batch == nil
	for _, o := range batch {
		changes = changes || o.rules != nil
	}
	if !changes || s.marked == s.generation {
		return nil
	}
	if err := writeMark(s.dir, s.generation); err != nil {
		return err
	}
	s.marked = s.generation
	return nil
}

func (s *store) applyOne(ctx context.Context, tx *sql.Tx, o op) error {
	if o.rules != nil {
		if err := s.applyRules(ctx, tx, o.rules); err != nil {
			return fmt.Errorf("save rules: %w", err)
		}
	}
	for i := range o.lines {
		if err := s.append(ctx, tx, &o.lines[i]); err != nil {
			return fmt.Errorf("write ledger: %w", err)
		}
	}
	if err := s.applyInbox(ctx, tx, o); err != nil {
		return fmt.Errorf("save inbox: %w", err)
	}
	for _, u := range o.uses {
		_, err := tx.ExecContext(ctx, `INSERT INTO usage VALUES(?, ?, ?)
			ON CONFLICT(rule) DO UPDATE SET used = excluded.used, uses = excluded.uses`, u.rule, u.used, u.uses)
		if err != nil {
			return fmt.Errorf("save usage: %w", err)
		}
	}
	return nil
}

func (s *store) applyRules(ctx context.Context, tx *sql.Tx, c *ruleChange) error {
	for _, id := range c.remove {
		if _, err := tx.ExecContext(ctx, `DELETE FROM rules WHERE id = ?`, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM usage WHERE rule = ?`, id); err != nil {
			return err
		}
	}
	for _, r := range c.add {
		_, err := tx.ExecContext(ctx, `INSERT INTO rules VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, string(r.App), r.AppName, r.Run, string(r.Kind), r.Target, r.Verdict.String(), string(r.Lifetime),
			toNano(r.Expires), toNano(r.Since), r.By)
		if err != nil {
			return err
		}
	}
	s.generation++
	s.high = max(s.high, c.high)
	s.mac = s.seal.rules(s.generation, s.high, c.all)
	return nil
}

func (s *store) append(ctx context.Context, tx *sql.Tx, l *Line) error {
	l.Seq = s.headSeq + 1
	l.Time = l.Time.UTC()
	digest := l.digest(s.headHash)
	_, err := tx.ExecContext(ctx, `INSERT INTO ledger VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(l.Seq), l.Time.UnixNano(), l.Event, l.App, l.Run, l.Kind, l.Target, l.Verdict, l.Source,
		l.Rule, l.Request, l.By, l.Reason, string(l.AppID), l.In, l.Out, digest)
	if err != nil {
		return err
	}
	l.Hash = hex.EncodeToString(digest)
	s.headSeq, s.headHash = l.Seq, digest
	return nil
}

func (s *store) applyInbox(ctx context.Context, tx *sql.Tx, o op) error {
	if o.put != nil {
		body, err := json.Marshal(o.put.body)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO inbox VALUES(?, ?, ?)`,
			o.put.id, body, s.seal.inbox(o.put.id, body))
		if err != nil {
			return err
		}
	}
	for _, id := range o.drop {
		if _, err := tx.ExecContext(ctx, `DELETE FROM inbox WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

// replaceState moves the one row of state, from exactly what this writer knows:
// a second agent on the same folder is an error, not a lost rule.
func (s *store) replaceState(ctx context.Context, tx *sql.Tx, next *store) error {
	res, err := tx.ExecContext(ctx, `UPDATE state SET generation = ?, high = ?, mac = ?, head_seq = ?, head_hash = ?, head_mac = ?
		WHERE one = 1 AND generation = ? AND head_seq = ?`,
		int64(next.generation), next.high, next.mac, int64(next.headSeq), next.headHash, s.seal.head(next.headSeq, next.headHash),
		int64(s.generation), int64(s.headSeq))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.New("another agent has changed the consent store")
	}
	return nil
}
