// Package app says who an app is: its name, its digest, who published it and
// which rights it asks for. It does no I/O.
package app

import (
	"strings"
)

// Format is one of the two things Consentry runs.
type Format string

// The two formats. There is no third (promise P1).
const (
	Image  Format = "oci"
	Module Format = "wasm"
)

// ID is what grants are bound to. It starts with "pub:" for an app of a
// verified publisher and is a plain digest ("sha256:…") for every other.
type ID string

// App is one program the user was asked to run. The zero value is no app.
type App struct {
	Name      string    `json:"name"`   // for people: "docker.io/library/nginx", "hello.wasm"
	Digest    string    `json:"digest"` // of the image manifest or the module, "sha256:…"
	Format    Format    `json:"format"`
	Publisher string    `json:"publisher,omitempty"` // set only after verification
	Manifest  *Manifest `json:"manifest,omitempty"`
}

// ID returns the identity that grants are bound to: publisher and name where
// the publisher was verified, the digest otherwise (promise P4).
func (a App) ID() ID {
	if a.Publisher != "" {
		return ID("pub:" + a.Publisher + "#" + a.Name) // no publisher has a "#" in it
	}
	return ID(a.Digest)
}

// ShortDigest is the digest's first twelve hex digits, for people.
func (a App) ShortDigest() string {
	_, hex, found := strings.Cut(a.Digest, ":")
	if !found {
		hex = a.Digest
	}
	return hex[:min(12, len(hex))]
}
