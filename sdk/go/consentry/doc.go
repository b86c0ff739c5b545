// Package consentry asks the user for data and makes HTTP requests from a
// WebAssembly module (GOOS=wasip1 GOARCH=wasm) that runs under Consentry.
//
// Every call may wait while the user decides; the whole module waits with it,
// as wasip1 has one thread. A call that got no yes returns an error: ErrDenied
// for a no, ErrAgain when there was no answer yet, after which the call may be
// made again later. Nothing is given without a yes.
//
// Built for another system the package compiles, and every call returns
// ErrNotSupported.
package consentry

import (
	"errors"
)

// The errors that callers can tell apart.
var (
	ErrDenied       = errors.New("denied by the user")
	ErrAgain        = errors.New("no answer yet, try again later")
	ErrNotSupported = errors.New("not supported")
	ErrInvalid      = errors.New("invalid request")
	ErrUnreachable  = errors.New("host is not reachable")
	ErrTooLarge     = errors.New("too large")
)

// Request is one HTTP request. Its scheme is http or https.
type Request struct {
	Method  string            `json:"method,omitempty"` // GET if empty
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    []byte            `json:"bodyBase64,omitempty"`
	Reason  string            `json:"reason,omitempty"` // why, shown to the user; at most 500 bytes
}
