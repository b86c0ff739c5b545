package consent

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strings"
	"time"

	"github.com/consentry/consentry/app"
)

// Line is one line of the ledger.
//
// Its events: "ask" (a question was put), "hold" (nobody answered in time),
// "deny" (a request was refused without a question; the same one is written
// once a minute), "answer", "allow" (a rule given without a prompt), "use"
// (with bytes), "revoke", "lapse" (a yes that nobody used for long), and those
// of Note.
type Line struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	App     string    `json:"app,omitempty"` // clean name
	AppID   app.ID    `json:"appId,omitempty"`
	Run     string    `json:"run,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Target  string    `json:"target,omitempty"`
	Verdict string    `json:"verdict,omitempty"` // "", "allow", "deny"
	Source  string    `json:"source,omitempty"`
	Rule    string    `json:"rule,omitempty"`
	Request string    `json:"request,omitempty"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"` // the app's words, cleaned, or ours
	In      int64     `json:"in,omitempty"`     // bytes to the app
	Out     int64     `json:"out,omitempty"`    // bytes from the app
	Hash    string    `json:"hash"`             // hex, over the line before and this one
}

// digest chains the line to the one before.
func (l *Line) digest(before []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(before)
	writeNumber(h, int64(l.Seq))
	writeNumber(h, l.Time.UnixNano())
	for _, text := range l.texts() {
		writeText(h, *text)
	}
	writeText(h, string(l.AppID))
	writeNumber(h, l.In)
	writeNumber(h, l.Out)
	return h.Sum(nil)
}

func (l *Line) texts() []*string {
	return []*string{
		&l.Event, &l.App, &l.Run, &l.Kind, &l.Target, &l.Verdict,
		&l.Source, &l.Rule, &l.Request, &l.By, &l.Reason,
	}
}

// makeValid makes the texts the same in JSON, where a hash is proved again.
func (l *Line) makeValid() {
	for _, text := range l.texts() {
		*text = strings.ToValidUTF8(*text, "\uFFFD")
	}
	l.AppID = app.ID(strings.ToValidUTF8(string(l.AppID), "\uFFFD"))
}

// writeText writes the length before the text, so that two fields cannot be
// taken for one.
func writeText(h hash.Hash, text string) {
	writeNumber(h, int64(len(text)))
	_, _ = h.Write([]byte(text))
}

func writeNumber(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // bits, not a value
	_, _ = h.Write(b[:])
}

// line starts a ledger line about a request that is clean.
func (r Request) line(event string, now time.Time) Line {
	return Line{
		Time: now, Event: event, App: r.App.Name, AppID: r.App.ID(), Run: r.Run,
		Kind: string(r.Kind), Target: r.Target,
	}
}

func (r Rule) line(event string, now time.Time) Line {
	return Line{
		Time: now, Event: event, App: r.AppName, AppID: r.App, Run: r.Run, Kind: string(r.Kind),
		Target: r.Target, Verdict: r.Verdict.String(), Source: string(r.Lifetime), Rule: r.ID, By: r.By,
	}
}
