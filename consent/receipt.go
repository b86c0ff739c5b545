package consent

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Receipts are the answers in the ledger as consent receipts. The names are
// those of ISO/IEC TS 27560:2023; docs/receipts.md says what stands in each, and
// which have nothing to say here.
type Receipts struct {
	SchemaVersion string    `json:"schema_version"`
	Issued        time.Time `json:"receipt_issued"`
	Ledger        ledgerRef `json:"ledger"` // ours: where the events can be proved
	Receipts      []Receipt `json:"receipts"`
}

// ledgerRef names the part of the ledger that was read.
type ledgerRef struct {
	PublicKey string `json:"public_key"`
	First     uint64 `json:"first_line"`
	Last      uint64 `json:"last_line"`
	LastHash  string `json:"last_hash"`
}

// Receipt is about one answer, or one rule given without a question.
type Receipt struct {
	ReceiptID   string         `json:"receipt_id"`
	RecordID    string         `json:"record_id"` // of the rule, or of the request for answers that made none
	PrincipalID string         `json:"pii_principal_id"`
	Processing  []processing   `json:"pii_processing"`
	Parties     []party        `json:"party_identification"`
	Events      []receiptEvent `json:"events"`
	Use         *receiptUse    `json:"use,omitempty"` // ours: what was done with it
}

type processing struct {
	Purpose     string   `json:"purpose"`
	LawfulBasis string   `json:"lawful_basis"`
	PII         []pii    `json:"pii_information"`
	Controllers []string `json:"pii_controllers"`
	Retention   string   `json:"retention_period"`
	Location    string   `json:"processing_locations"`
	Withdrawal  string   `json:"withdrawal_method"`
}

type pii struct {
	Type string `json:"pii_type"`
	What string `json:"pii_attribute"`
}

type party struct {
	ID   string `json:"party_id"`
	Name string `json:"party_name"`
	Role string `json:"party_role"`
	Type string `json:"party_type"`
}

type receiptEvent struct {
	Time     time.Time `json:"event_time"`
	Type     string    `json:"event_type"`
	State    string    `json:"event_state"`
	Validity string    `json:"validity_duration,omitempty"`
	Entity   string    `json:"entity_id"`
	Line     uint64    `json:"ledger_line"` // ours
	Hash     string    `json:"ledger_hash"` // ours
}

type receiptUse struct {
	Times int64     `json:"times"`
	Last  time.Time `json:"last"`
	In    int64     `json:"bytes_to_app"`
	Out   int64     `json:"bytes_from_app"`
}

const (
	receiptSchema = "ISO/IEC TS 27560:2023"
	thisUser      = "user of this computer"
	maxReceipts   = 100_000
)

// Receipts returns what q selects, by App, Kind and Since, of the whole ledger,
// which is proved on the way. An error means that it does not fit.
func (e *Engine) Receipts(ctx context.Context, q Query) (*Receipts, error) {
	if e.store == nil {
		return nil, e.Health()
	}
	found := &collection{query: q, byID: map[string]int{}, reasons: map[string]string{}}
	from, to, err := e.store.walk(ctx, found.add)
	if err != nil {
		return nil, fmt.Errorf("receipts: %w", err)
	}
	return &Receipts{
		SchemaVersion: receiptSchema, Issued: e.clock.time(), Receipts: append([]Receipt{}, found.receipts...),
		Ledger: ledgerRef{hex.EncodeToString(e.store.seal.public()), from.Seq + 1, to.Seq, hex.EncodeToString(to.Hash)},
	}, nil
}

// collection turns lines into receipts.
type collection struct {
	query    Query
	receipts []Receipt
	byID     map[string]int
	reasons  map[string]string // the app's words, by request
}

func (c *collection) add(l Line) error {
	id := l.Rule
	if id == "" {
		id = l.Request
	}
	at, known := c.byID[id]
	switch {
	case id == "":
	case l.Event == "ask":
		if len(c.reasons) < maxReceipts && c.query.selects(&l) {
			c.reasons[l.Request] = l.Reason
		}
	case givesConsent(&l):
		if !c.query.selects(&l) {
			return nil
		}
		if !known {
			if at = len(c.receipts); at >= maxReceipts {
				return fmt.Errorf("more than %d; choose an app or a time", maxReceipts)
			}
			c.receipts, c.byID[id] = append(c.receipts, receiptOf(&l, id, c.reasons[l.Request])), at
		}
		c.receipts[at].add(l, consentState(&l), l.Source)
	case known && l.Event == "revoke":
		c.receipts[at].add(l, "consent withdrawn", "")
	case known && l.Event == "use":
		c.receipts[at].use(l)
	}
	return nil
}

func (q Query) selects(l *Line) bool {
	return (q.App == "" || q.App == l.App || q.App == string(l.AppID)) && (q.Kind == "" || q.Kind == l.Kind) &&
		(q.Run == "" || q.Run == l.Run) && !l.Time.Before(q.Since)
}

// givesConsent says whether somebody decided: a rule or a question answered.
// Refusals without a question are events of the engine, not consent.
func givesConsent(l *Line) bool {
	switch l.Event {
	case "answer", "allow", "deny":
		return l.By != ""
	}
	return false
}

func consentState(l *Line) string {
	if l.Verdict == Allow.String() {
		return "consent given"
	}
	return "consent refused"
}

// receiptOf is about an app that asked with a reason, or "".
func receiptOf(l *Line, id, reason string) Receipt {
	return Receipt{
		ReceiptID: fmt.Sprintf("%s-%d", id, l.Seq), RecordID: id, PrincipalID: thisUser,
		Processing: []processing{{
			Purpose: cmp.Or(reason, l.Kind+" "+l.Target), LawfulBasis: "consent",
			PII: []pii{{l.Kind, l.Target}}, Controllers: []string{string(l.AppID)},
			Retention: "not known: the app's own", Location: "this computer, and where the app sends it",
			Withdrawal: "consentry revoke " + id,
		}},
		Parties: []party{
			{string(l.AppID), l.App, "PII controller", "app"},
			{thisUser, thisUser, "PII principal", "person"},
		},
	}
}

func (r *Receipt) add(l Line, state, validity string) {
	r.Events = append(r.Events, receiptEvent{
		Time: l.Time, Type: "explicit", State: state, Validity: validity, Entity: l.By, Line: l.Seq, Hash: l.Hash,
	})
}

func (r *Receipt) use(l Line) {
	if r.Use == nil {
		r.Use = &receiptUse{}
	}
	r.Use.Times += timesOf(l)
	r.Use.Last = l.Time
	r.Use.In += l.In
	r.Use.Out += l.Out
}
