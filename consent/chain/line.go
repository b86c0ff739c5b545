package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
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

// Digest chains the line to the one before, whose own digest is given.
func (l *Line) Digest(before []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(before)
	WriteNumber(h, int64(l.Seq))
	WriteNumber(h, l.Time.UnixNano())
	for _, text := range l.texts() {
		WriteText(h, *text)
	}
	WriteText(h, string(l.AppID))
	WriteNumber(h, l.In)
	WriteNumber(h, l.Out)
	return h.Sum(nil)
}

func (l *Line) texts() []*string {
	return []*string{
		&l.Event, &l.App, &l.Run, &l.Kind, &l.Target, &l.Verdict,
		&l.Source, &l.Rule, &l.Request, &l.By, &l.Reason,
	}
}

// Follow checks that the line continues the chain after last, and says where it
// leads. After an error that is last.
func (l *Line) Follow(last Point) (Point, error) {
	if l.Seq != last.Seq+1 {
		return last, fmt.Errorf("the ledger has no line %d, it goes on with %d", last.Seq+1, l.Seq)
	}
	digest := l.Digest(last.Hash)
	if hex.EncodeToString(digest) != l.Hash {
		return last, fmt.Errorf("line %d of the ledger was changed", l.Seq)
	}
	return Point{l.Seq, digest}, nil
}

// MakeValid makes the texts the same in JSON, where a hash is proved again.
func (l *Line) MakeValid() {
	for _, text := range l.texts() {
		*text = strings.ToValidUTF8(*text, "\uFFFD")
	}
	l.AppID = app.ID(strings.ToValidUTF8(string(l.AppID), "\uFFFD"))
}

// WriteText writes the length before the text, so that two fields cannot be
// taken for one.
func WriteText(h hash.Hash, text string) {
	WriteNumber(h, int64(len(text)))
	_, _ = h.Write([]byte(text))
}

// WriteNumber writes the 8 bytes of n.
func WriteNumber(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // bits, not a value
	_, _ = h.Write(b[:])
}
