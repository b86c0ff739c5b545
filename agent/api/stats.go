package api

import "github.com/consentry/consentry/sandbox"

// RunStats is what one run uses now: GET /v1/stats?run=REF, all that run without
// REF.
type RunStats struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Stats are nil for a kind of app that cannot tell.
	*sandbox.Stats
	Network *NetworkStats `json:"network,omitempty"` // nil for an app without a network card
}

// NetworkStats are of the run's network card, since the start.
type NetworkStats struct {
	In  int64 `json:"in"`  // bytes to the app
	Out int64 `json:"out"` // bytes from the app
}
