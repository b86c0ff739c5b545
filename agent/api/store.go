package api

// AlertHeader of every answer says, quoted as ASCII, why everything is denied.
const AlertHeader = "Consentry-Alert"

// Reset is the answer to POST /v1/store/reset. The agent ends after it, and
// with it every run.
type Reset struct {
	Kept string `json:"kept"` // the folder with the old files
}

// The forms of GET /v1/log/export.
const (
	FormReceipts = "receipts" // JSON, ISO/IEC TS 27560
	FormChain    = "chain"    // NDJSON, signed
)

// Purged is the answer to POST /v1/purge. The agent ends after it, and with it
// every run; then it removes what it keeps.
type Purged struct {
	Data string `json:"data"` // the folder
}
