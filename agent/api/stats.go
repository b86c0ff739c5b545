package api

import "github.com/consentry/consentry/sandbox"

// RunStats is what one run uses now: GET /v1/stats?run=REF, all that run without
// REF.
type RunStats struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Stats are nil for a kind of app that cannot tell.
	*sandbox.Stats
	Network *Network `json:"network,omitempty"` // nil for an app without a network card
}
