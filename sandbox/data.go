package sandbox

import (
	"context"
	"time"
)

// DataRequest is one question for something of the user's: data of a kind, a
// secret, or an action. Package data has the kinds and says which of these
// members each of them takes.
type DataRequest struct {
	Kind    string   `json:"kind"`             // "identity"
	Fields  []string `json:"fields,omitempty"` // "email", or "name?" for optional
	Purpose string   `json:"purpose"`
	// Retain: the answer is kept under a lease and dropped when that ends.
	Retain bool `json:"retain,omitempty"`

	Max  int       `json:"max,omitempty"` // records; 0: the kind's own bound
	From time.Time `json:"from,omitzero"` // of a range of time
	To   time.Time `json:"to,omitzero"`

	Name  string `json:"name,omitempty"` // of a secret
	URL   string `json:"url,omitempty"`  // to open
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
}

// DataReply is what the user chose to give.
type DataReply struct {
	Grant string `json:"grant,omitempty"`
	// Lease is 0 where the answer must not be kept: see Leaser.
	Lease    uint64           `json:"lease,omitempty"`
	Values   map[string]any   `json:"values,omitempty"`  // of a kind that has one of each
	Records  []map[string]any `json:"records,omitempty"` // of a kind that has many
	Withheld []string         `json:"withheld,omitempty"`
}

// Leaser is a Broker whose answers may be kept for a while. An answer may be
// used as long as its lease lasts, and is dropped when the lease ends: the
// grant was taken back or has run out, or the data have changed.
type Leaser interface {
	// Ended waits until leases have ended that this method has not returned
	// before, and returns them.
	Ended(context.Context) ([]uint64, error)
	// Reused says how often kept answers were used again since the last call.
	Reused(context.Context, map[uint64]int64) error
}

// Giver is a Broker that knows what it has given to its run.
type Giver interface {
	// Given lists the grants by which this run was given something.
	Given(context.Context) ([]GivenData, error)
	// GiveBack ends a grant on the app's own wish. One whose end would give the
	// app more than it has is ErrInvalid; an id that Given does not list is
	// ErrNothing.
	GiveBack(ctx context.Context, grant string) error
}

// PieceReader is a Broker that reads files which the user picked.
type PieceReader interface {
	// Piece reads a part of a file; a short one is the end.
	Piece(context.Context, FilePiece) (FileData, error)
}

// Revealer is a Broker that has secrets which an app uses without seeing them.
type Revealer interface {
	// Reveal gives the value for one place only; ErrDenied for any other.
	Reveal(context.Context, SecretFor) (string, error)
}

// Rooter is a Broker that knows whom this machine trusts with TLS, for a worker
// that has no files.
type Rooter interface {
	// Roots are certificates in PEM.
	Roots(context.Context) ([]byte, error)
}

// SecretFor is a secret behind a handle and the origin ("https://host") of the
// request that it is put into.
type SecretFor struct {
	Handle string `json:"handle"`
	Origin string `json:"origin"`
}

// HandlePrefix is how every handle of a file or a secret begins.
const HandlePrefix = "consentry-"

// GivenData is one grant and what came of it: never more than the app has seen.
type GivenData struct {
	Grant   string    `json:"grant"`
	Kind    string    `json:"kind"`
	Fields  []string  `json:"fields,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// FilePiece is a part of a file behind a handle.
type FilePiece struct {
	Handle string `json:"handle"`
	Offset int64  `json:"offset"`
	Length int    `json:"length"` // bytes, at most MaxPiece
}

// FileData is what was read, and how long the whole file is now, in bytes.
type FileData struct {
	Size int64  `json:"size"`
	Data []byte `json:"data,omitempty"`
}

// MaxPiece bounds a FilePiece, in bytes.
const MaxPiece = 256 << 10
