package consent

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consentry/consentry/consent/chain"
)

// apply is one transaction. The fields that mirror the disk move only when it
// is through.
func (s *store) apply(batch []op) error {
	ctx := context.Background() // what was answered is saved, whoever has left
	if err := s.catchUpMark(batch); err != nil {
		return err
	}
	s.at("saving")
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	next := transaction{tx: tx, seal: s.seal, saved: s.saved}
	for _, o := range batch {
		if err := next.apply(ctx, o); err != nil {
			return err
		}
	}
	s.at("in transaction")
	if err := s.finish(ctx, &next); err != nil {
		return err
	}
	s.at("committed")
	if err := s.catchUpMark(nil); err != nil {
		// The rules are saved. Until the mark follows, no other change is.
		s.log.Error("consent: the generation mark cannot be written", "err", err)
	}
	s.at("marked")
	return nil
}

// at tells a test how far the store has come.
func (s *store) at(step string) {
	if s.step != nil {
		s.step(step)
	}
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
	if err := writeMark(s.keychain, s.generation); err != nil {
		return err
	}
	s.marked = s.generation
	return nil
}

// transaction is what the disk will hold once it is through.
type transaction struct {
	tx   *sql.Tx
	seal seal
	saved
}

func (t *transaction) apply(ctx context.Context, o op) error {
	if o.rules != nil {
		if err := t.applyRules(ctx, o.rules); err != nil {
			return fmt.Errorf("save rules: %w", err)
		}
	}
	for i := range o.lines {
		if err := t.append(ctx, &o.lines[i]); err != nil {
			return fmt.Errorf("write ledger: %w", err)
		}
	}
	if err := t.applyInbox(ctx, o); err != nil {
		return fmt.Errorf("save inbox: %w", err)
	}
	for _, u := range o.uses {
		_, err := t.tx.ExecContext(ctx, `INSERT INTO usage VALUES(?, ?, ?)
			ON CONFLICT(rule) DO UPDATE SET used = excluded.used, uses = excluded.uses`, u.rule, u.used, u.uses)
		if err != nil {
			return fmt.Errorf("save usage: %w", err)
		}
	}
	return nil
}

func (t *transaction) applyRules(ctx context.Context, c *ruleChange) error {
	for _, id := range c.remove {
		if _, err := t.tx.ExecContext(ctx, `DELETE FROM rules WHERE id = ?`, id); err != nil {
			return err
		}
		if _, err := t.tx.ExecContext(ctx, `DELETE FROM usage WHERE rule = ?`, id); err != nil {
			return err
		}
	}
	for _, r := range c.add {
		_, err := t.tx.ExecContext(ctx, `INSERT INTO rules VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, string(r.App), r.AppName, r.Run, string(r.Kind), r.Target, r.Verdict.String(), string(r.Lifetime),
			toNano(r.Expires), toNano(r.Since), r.By, r.Shape)
		if err != nil {
			return err
		}
	}
	t.generation++
	t.high = max(t.high, c.high)
	t.mac = t.seal.rules(t.generation, t.high, c.all)
	return nil
}

func (t *transaction) append(ctx context.Context, l *Line) error {
	l.Seq = t.ends.head.Seq + 1
	l.Time = l.Time.UTC()
	l.MakeValid()
	digest := l.Digest(t.ends.head.Hash)
	_, err := t.tx.ExecContext(ctx, `INSERT INTO ledger VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(l.Seq), l.Time.UnixNano(), l.Event, l.App, l.Run, l.Kind, l.Target, l.Verdict, l.Source,
		l.Rule, l.Request, l.By, l.Reason, string(l.AppID), l.In, l.Out, digest)
	if err != nil {
		return err
	}
	l.Hash = hex.EncodeToString(digest)
	t.ends.head = chain.Point{Seq: l.Seq, Hash: digest}
	return nil
}

func (t *transaction) applyInbox(ctx context.Context, o op) error {
	if o.put != nil {
		body, err := json.Marshal(o.put.body)
		if err != nil {
			return err
		}
		_, err = t.tx.ExecContext(ctx, `INSERT OR REPLACE INTO inbox VALUES(?, ?, ?)`,
			o.put.id, body, t.seal.inbox(o.put.id, body))
		if err != nil {
			return err
		}
	}
	for _, id := range o.drop {
		if _, err := t.tx.ExecContext(ctx, `DELETE FROM inbox WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

// finish moves the one row of state and commits. The row must be exactly what
// this writer knows: a second agent on the same folder is an error, not a lost
// rule.
func (s *store) finish(ctx context.Context, t *transaction) error {
	e := t.ends
	res, err := t.tx.ExecContext(ctx, `UPDATE state SET generation = ?, high = ?, mac = ?,
		floor_seq = ?, floor_hash = ?, anchor_seq = ?, anchor_hash = ?, head_seq = ?, head_hash = ?, signature = ?
		WHERE one = 1 AND generation = ? AND head_seq = ? AND anchor_seq = ?`,
		int64(t.generation), t.high, t.mac,
		int64(e.floor.Seq), orEmpty(e.floor.Hash), int64(e.anchor.Seq), orEmpty(e.anchor.Hash),
		int64(e.head.Seq), orEmpty(e.head.Hash), s.seal.signature(e),
		int64(s.generation), int64(s.ends.head.Seq), int64(s.ends.anchor.Seq))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.New("another agent has changed the consent store")
	}
	if err := t.tx.Commit(); err != nil {
		return err
	}
	s.saved = t.saved
	return nil
}

// orEmpty: a nil slice would be NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
