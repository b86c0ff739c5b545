package consent

import (
	"time"

	"github.com/consentry/consentry/app"
)

// Verdict is yes or no. The zero value is no.
type Verdict uint8

// The verdicts.
const (
	Deny Verdict = iota
	Allow
)

func (v Verdict) String() string {
	if v == Allow {
		return "allow"
	}
	return "deny"
}

// Kind is a kind of right.
type Kind string

// The kinds of rights there are. A request of any other kind is refused, not asked.
const (
	NetConnect Kind = "net.connect"
	NetListen  Kind = "net.listen"
	FileRead   Kind = "file.read"
	FileWrite  Kind = "file.write"
	URLOpen    Kind = "url.open"
	Notify     Kind = "notify"
	SecretUse  Kind = "secret.use"
	WallWaive  Kind = "wall.waive" // by the user's own word only: no app can ask for it
	DataPrefix      = "data."      // Kind(DataPrefix + "identity") and so on
)

// Lifetime is how long an answer lasts.
type Lifetime string

// The lifetimes. Once answers this request (and those coalesced with it) and writes no rule.
const (
	Once   Lifetime = "once"
	Run    Lifetime = "run"  // until the app exits
	Timed  Lifetime = "time" // for Answer.For
	Always Lifetime = "always"
)

// Request is one thing an app wants.
type Request struct {
	App    app.App
	Run    string // id of the run
	Kind   Kind
	Target string // canonical text of its kind: "tcp/api.example.com:443", "email,name", "share/path"
	Reason string // the app's words, cleaned before they are shown
	// FromManifest says that the reason stood in the manifest, not in the call.
	FromManifest bool
}

// Source says where a verdict came from.
type Source string

// The sources of a verdict.
const (
	FromRule    Source = "rule"     // an answer given earlier
	FromAnswer  Source = "answer"   // the user, now
	FromHold    Source = "hold"     // nobody answered in time: a no that may be tried again
	FromFlood   Source = "flood"    // too many requests, or asking is paused: a no that may be tried again
	FromNoInput Source = "no-input" // asking is off
	FromLearn   Source = "learn"    // nothing is asked while learning
	FromFault   Source = "fault"    // the engine could not decide
)

// Decision is the end of a request.
type Decision struct {
	Verdict Verdict
	Source  Source
	Rule    string // id of the rule, if one decided
	Request string // id in the inbox and the ledger
	Detail  string // for FromFault, FromFlood, FromNoInput and FromLearn: why, what to do
	// Shape is what the user made of a yes about data; nothing here reads it. Of
	// a rule it is that of the one that decided, so look fields up one by one.
	Shape string
	// Given names the fields that were allowed of a data request which as a
	// whole was not: the verdict is Deny, so that who does not look here gives
	// nothing.
	Given string
}

// Answer is what the user said to one prompt.
type Answer struct {
	Request  string        `json:"request"` // id of the prompt
	Nonce    string        `json:"nonce"`   // of the prompt; an answer with another one is refused
	Verdict  Verdict       `json:"verdict"`
	Lifetime Lifetime      `json:"lifetime"`
	For      time.Duration `json:"for,omitempty"` // with Timed
	// Target widens or narrows what is answered ("tcp/*.example.com:443"); ""
	// is the request's own target.
	Target string   `json:"target,omitempty"`
	Fields []string `json:"fields,omitempty"` // data: the fields given
	Shape  string   `json:"shape,omitempty"`  // data: what the user made of the yes
	// Everything, with a no that lasts, is about all that no rule allows the app.
	Everything bool   `json:"everything,omitempty"`
	By         string `json:"by"` // "terminal", "cli", "api", "notification", "tray"
}
