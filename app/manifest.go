package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Manifest lists the rights an app says it will ask for. It is a wish with
// reasons, never a grant.
type Manifest struct {
	Version int     `json:"version"` // 1
	Name    string  `json:"name,omitempty"`
	Rights  []Right `json:"rights"`
	Ports   []Port  `json:"ports,omitempty"` // UI ports
}

// Right is one line of a manifest.
type Right struct {
	Kind    string `json:"kind"`   // "net.connect", "data.identity", …
	Target  string `json:"target"` // "api.example.com:443", "email,name?"
	Reason  string `json:"reason"`
	Without string `json:"without,omitempty"` // what will not work without it
}

// Port is a port the app serves a page or an API on.
type Port struct {
	Port  uint16 `json:"port"`
	Label string `json:"label,omitempty"`
	HTTP  bool   `json:"http,omitempty"`
}

// Bounds of a manifest; one that exceeds them is refused as a whole.
const (
	ManifestLabel   = "dev.consentry.manifest" // image label or annotation
	ManifestSection = "consentry.manifest"     // wasm custom section
	MaxManifest     = 64 << 10                 // bytes
	maxRights       = 200
	maxText         = 500 // bytes of a reason
)

// ParseManifest reads the JSON of a manifest. Unknown members are errors, so
// that a right is not lost to a spelling mistake.
func ParseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("manifest is %d bytes, more than %d", len(raw), MaxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if dec.More() {
		return nil, errors.New("manifest: text after the JSON object")
	}
	return &m, m.check()
}

func (m *Manifest) check() error {
	if m.Version != 1 {
		return fmt.Errorf("manifest: version %d is not known, want 1", m.Version)
	}
	if len(m.Rights) > maxRights {
		return fmt.Errorf("manifest: %d rights, more than %d", len(m.Rights), maxRights)
	}
	for i, r := range m.Rights {
		switch {
		case r.Kind == "":
			return fmt.Errorf("manifest: right %d has no kind", i+1)
		case r.Reason == "":
			return fmt.Errorf("manifest: right %d (%s %s) has no reason", i+1, r.Kind, r.Target)
		case len(r.Reason) > maxText || len(r.Without) > maxText || len(r.Target) > maxText:
			return fmt.Errorf("manifest: right %d has a text of more than %d bytes", i+1, maxText)
		}
	}
	return nil
}
