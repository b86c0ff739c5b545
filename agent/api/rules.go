package api

import "time"

// Rules as text, in the form that docs/rights.md describes:
//
//	GET    /v1/presets                []Preset, without their text
//	GET    /v1/presets/NAME           Preset
//	GET    /v1/grants/export?app=APP  RuleText; without APP of all apps
//	POST   /v1/grants/import          ImportRequest → ImportPlan
//	GET    /v1/apps/overview?app=APP  AppOverview

// Preset is a file of rules for any app.
type Preset struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Own   bool   `json:"own,omitempty"` // a file of the user's
	Rules int    `json:"rules"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"` // it cannot be used, and why
}

// RuleText is rules as text.
type RuleText struct {
	Text string `json:"text"`
}

// ImportRequest asks what rules would change, or changes them. The rules are
// Text, or those of a Preset. App is whose they are, where they do not say.
type ImportRequest struct {
	Text   string `json:"text,omitempty"`
	Preset string `json:"preset,omitempty"`
	App    string `json:"app,omitempty"`
	// Apply is the Plan of an earlier answer: it is carried out if it is still
	// the same, all of it or nothing. "" only asks.
	Apply string `json:"apply,omitempty"`
}

// ImportPlan is what an import does.
type ImportPlan struct {
	Plan    string       `json:"plan"` // stands for Items
	Items   []ImportItem `json:"items"`
	Applied bool         `json:"applied"`
}

// ImportItem is what an import does about one rule.
type ImportItem struct {
	Line    int       `json:"line"`
	App     string    `json:"app"`
	AppID   string    `json:"appId"`
	Verdict string    `json:"verdict"`
	Kind    string    `json:"kind"`
	Target  string    `json:"target"`
	Expires time.Time `json:"expires,omitzero"`
	// Does is "add", "replace" (a rule for the same target), "same" (it is
	// there already) or "over" (its time has passed, it is left out).
	Does string `json:"does"`
	Was  string `json:"was,omitempty"` // replace: the verdict before
}

// AppOverview is everything that was given to one app, and what it met.
type AppOverview struct {
	App       string    `json:"app"`
	AppID     string    `json:"appId"`
	Publisher string    `json:"publisher,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	Muted     bool      `json:"muted,omitempty"` // what no rule allows is denied without a question
	Reviewed  time.Time `json:"reviewed,omitzero"`
	Lines     int       `json:"lines,omitempty"` // of the manifest that was reviewed
	Running   []string  `json:"running,omitempty"`
	Grants    []Grant   `json:"grants"`
	Refused   []Refusal `json:"refused"`
	Waiting   []Prompt  `json:"waiting"`
}

// Refusal is something that the app was not given.
type Refusal struct {
	Kind   string    `json:"kind"`
	Target string    `json:"target"`
	Count  int       `json:"count"` // lines of the ledger among the newest
	Last   time.Time `json:"last"`
	Source string    `json:"source,omitempty"` // of the last one: "rule", "answer", "hold", …
}
