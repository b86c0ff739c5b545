package api

import "encoding/json"

// What a run with RunRequest.Learn asked for:
//
//	GET    /v1/learned/RUN   Learned; kept for the last 16 such runs, not over a start of the agent

// Learned is what one run asked for and was not given.
type Learned struct {
	Run      string          `json:"run"`
	App      string          `json:"app"`
	Wishes   []Wish          `json:"wishes"`
	Dropped  int             `json:"dropped,omitempty"` // requests beyond the bound
	Manifest json.RawMessage `json:"manifest"`          // the smallest one
}

// Wish is one thing that a run asked for.
type Wish struct {
	Kind    string `json:"kind"`
	Target  string `json:"target"`
	Reason  string `json:"reason,omitempty"` // the app's words, to be quoted
	Allowed bool   `json:"allowed"`          // a rule granted it already
	Count   int    `json:"count"`
}
