// Package consentry asks the user of a Consentry app for data: from a
// WebAssembly module (GOOS=wasip1 GOARCH=wasm) through host functions, from a
// program in an image over HTTP. The calls are the same.
//
//	answer, err := consentry.Request(consentry.Question{
//		Purpose: "to invite people to your party",
//		Items:   []consentry.Item{{Type: "contacts", Fields: []string{"name", "email", "phone?"}, Max: 20}},
//	})
//
// A call may wait while the user decides; a module waits with it as a whole, as
// wasip1 has one thread. Nothing is given without a yes, and a yes may give less
// than was asked for: Given.Withheld names what is missing. What there is to
// ask for is in docs/data.md.
package consentry

import (
	"errors"
	"fmt"
	"time"
)

// The errors that callers can tell apart, by errors.Is.
var (
	ErrDenied       = errors.New("denied by the user") // or nobody is asked
	ErrAgain        = errors.New("no answer yet, try again later")
	ErrNotSupported = errors.New("not supported")
	ErrInvalid      = errors.New("invalid request")
	ErrUnreachable  = errors.New("host is not reachable")
	ErrTooLarge     = errors.New("too large")
)

// Error is a call that got nothing. It wraps the one of the errors above that
// its code stands for.
type Error struct {
	Code   string // "denied", "blocked", "undeclared", "timeout", "busy", "unavailable", "invalid", "unknown-kind", "not-found"
	Detail string
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Unwrap is ErrDenied, ErrAgain, ErrInvalid or nil.
func (e *Error) Unwrap() error {
	switch e.Code {
	case "denied", "blocked", "undeclared":
		return ErrDenied
	case "timeout", "busy", "unavailable":
		return ErrAgain
	case "invalid", "unknown-kind", "not-found":
		return ErrInvalid
	}
	return nil
}

// Question is what Request asks.
type Question struct {
	Purpose string // one sentence that the user reads; at most 500 bytes
	Items   []Item // at most 8
	// Retain keeps the answer for the same question until the app ends or the
	// user takes it back.
	Retain bool
	// Wait bounds the time for an answer; 0 is as long as the user may take. A
	// module waits for that in any case.
	Wait time.Duration
}

// Item is one thing to ask for. Which members go with a type, Kinds tells.
type Item struct {
	Type   string    `json:"type"`             // "identity"
	Fields []string  `json:"fields,omitempty"` // "email", or "name?": can do without
	Max    int       `json:"max,omitempty"`    // records
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Name   string    `json:"name,omitempty"` // of a secret
	URL    string    `json:"url,omitempty"`
	Title  string    `json:"title,omitempty"`
	Body   string    `json:"body,omitempty"`
}

// Answer is what the user gave: something at least.
type Answer struct {
	Status string  `json:"status"` // "granted" or "partial"
	Items  []Given `json:"items"`  // as they were asked for
}

// Given is what was given of one item.
type Given struct {
	Type     string           `json:"type"`
	Status   string           `json:"status"`             // "granted", "partial", or the code of an Error
	Grant    string           `json:"grant,omitempty"`    // for GiveBack
	Values   map[string]any   `json:"values,omitempty"`   // of a type that has one of each field
	Records  []map[string]any `json:"records,omitempty"`  // of a type that has many
	Withheld []string         `json:"withheld,omitempty"` // fields that were not given
}

// Kind is one kind of data or action.
type Kind struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Action string `json:"action"`
	Fields []struct {
		Name   string `json:"name"`
		Format string `json:"format"`
	} `json:"fields"`
	Many  bool     `json:"many"`
	Needs []string `json:"needs"` // members that an Item must have
	Takes []string `json:"takes"` // members that it may have
}

// Grant is something that was given before.
type Grant struct {
	Grant   string    `json:"grant"`
	Kind    string    `json:"kind"`
	Fields  []string  `json:"fields,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// RequestUserEmail asks for the user's e-mail address.
func RequestUserEmail(purpose string) (string, error) {
	answer, err := Request(Question{Purpose: purpose, Items: []Item{{Type: "identity", Fields: []string{"email"}}}, Retain: true})
	if err != nil {
		return "", err
	}
	email, ok := answer.Items[0].Values["email"].(string)
	if !ok {
		return "", fmt.Errorf("%w: no e-mail address", ErrDenied)
	}
	return email, nil
}

// HTTPRequest is one HTTP request of a module. Its scheme is http or https.
type HTTPRequest struct {
	Method  string            `json:"method,omitempty"` // GET if empty
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    []byte            `json:"bodyBase64,omitempty"`
	Reason  string            `json:"reason,omitempty"` // why, shown to the user; at most 500 bytes
}
