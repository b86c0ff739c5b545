package api

// Offline says whether every app is cut off from the network, whatever the
// rules say: the body of GET and PUT /v1/offline.
type Offline struct {
	On bool   `json:"on"`
	By string `json:"by,omitempty"` // who wants it, for the ledger
}
