package api

import "time"

// The review of an app's manifest, before the app starts:
//
//	POST   /v1/install       RunRequest → upgraded to a stream: fetches and reviews, starts nothing
//	GET    /v1/reviews       []Review, those that wait, without their lines
//	GET    /v1/reviews/ID    Review
//	POST   /v1/reviews/ID    ReviewAnswer
//
// A call that starts an app sends FrameReview when its manifest has lines that
// the user was not asked about, and waits until somebody has answered or the
// client leaves. FrameReviewed says that it waits no more.

// The frames of a review. Both carry a Review without its lines, which may be
// more than a frame takes.
const (
	FrameReview   FrameType = 'V'
	FrameReviewed FrameType = 'v'
)

// Review is what a manifest asks for, everything in it fit to be shown.
type Review struct {
	ID    string    `json:"id"`
	Nonce string    `json:"nonce"` // the answer must carry it
	Asked time.Time `json:"asked"`
	App   string    `json:"app"` // clean name
	AppID string    `json:"appId"`
	// Publisher vouched for the app, "" if nobody did: what is answered then
	// holds for this very file only.
	Publisher string `json:"publisher,omitempty"`
	Digest    string `json:"digest"`
	Source    string `json:"source"`
	// SaysName is what the app calls itself, to be quoted.
	SaysName string       `json:"saysName,omitempty"`
	OwnExec  bool         `json:"ownExec,omitempty"` // it runs no program but those of its image
	Update   bool         `json:"update,omitempty"`  // the app was reviewed before; Lines are what changed
	Kept     int          `json:"kept,omitempty"`    // lines that stay as they were answered
	Lines    []ReviewLine `json:"lines,omitempty"`
	Ports    []ReviewPort `json:"ports,omitempty"`
	// Replaces is another app of this name that holds grants. None of them
	// hold for this one.
	Replaces *ReplacedApp `json:"replaces,omitempty"`
}

// ReviewLine is one right that the app asks for.
type ReviewLine struct {
	Number  int    `json:"number"` // from 1
	Kind    string `json:"kind"`
	Target  string `json:"target"`
	Title   string `json:"title"`             // our words, what a yes lets the app do
	Reason  string `json:"reason"`            // the app's words, to be quoted
	Without string `json:"without,omitempty"` // the app's words: what does not work without it
	Change  string `json:"change"`            // "new", "wider", "purpose"
	Was     string `json:"was,omitempty"`     // the target or, with "purpose", the reason before
	Rule    string `json:"rule,omitempty"`    // "allow", "deny": a rule says so already
}

// ReviewPort is a port that the app serves; it is published with -p only.
type ReviewPort struct {
	Port  uint16 `json:"port"`
	Label string `json:"label,omitempty"` // the app's words
	HTTP  bool   `json:"http,omitempty"`
}

// ReplacedApp is another app of the same name.
type ReplacedApp struct {
	AppID  string  `json:"appId"`
	Grants []Grant `json:"grants"`
}

// ReviewAnswer answers a review. Verdict is for all lines that Lines does not
// name: "allow", "deny" or "ask" (about when the app comes to it); "stop"
// starts nothing and keeps nothing.
type ReviewAnswer struct {
	Nonce    string         `json:"nonce"`
	Verdict  string         `json:"verdict"`
	Lines    map[int]string `json:"lines,omitempty"`
	Lifetime string         `json:"lifetime,omitempty"` // "always" (default), "time", "run"
	For      time.Duration  `json:"for,omitempty"`
	By       string         `json:"by"`
}

// ManifestCheck asks what there is to say about a manifest: its text, or that of
// a source that is here.
type ManifestCheck struct {
	Text   string `json:"text,omitempty"`
	Source string `json:"source,omitempty"` // an image or a module, as for RunRequest
}

// ManifestFindings answers it.
type ManifestFindings struct {
	Findings []ManifestFinding `json:"findings"`
}

// ManifestFinding is something to change.
type ManifestFinding struct {
	Level   string `json:"level"` // "error": it is not taken; "warning"
	Code    string `json:"code"`  // "unknown-field", …
	Path    string `json:"path"`  // "rights/0/target"; "" is the whole
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"` // in characters
	Message string `json:"message"`
	Hint    string `json:"hint"`
}
