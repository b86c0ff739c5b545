package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"unicode/utf8"
)

// Manifest lists the rights an app says it will ask for. It is a wish with
// reasons, never a grant.
type Manifest struct {
	Schema  string  `json:"$schema,omitempty"` // for editors
	Version int     `json:"version"`           // 1
	Name    string  `json:"name,omitempty"`
	Rights  []Right `json:"rights"`
	Ports   []Port  `json:"ports,omitempty"` // UI ports
	// Exec is "image" when the app runs no program but those of its image: one
	// that it fetches or makes is refused. It can only take away.
	Exec string `json:"exec,omitempty"`
}

// ExecImage is the one word for Manifest.Exec.
const ExecImage = "image"

// Right is one line of a manifest.
type Right struct {
	Kind    string `json:"kind"`   // "net.connect", "data.identity", …
	Target  string `json:"target"` // "tcp/api.example.com:443", "email,name?" ('?': it can do without)
	Reason  string `json:"reason"`
	Without string `json:"without,omitempty"` // what will not work without it
}

// Port is a port the app serves a page or an API on.
type Port struct {
	Port  uint16 `json:"port"`
	Label string `json:"label,omitempty"`
	HTTP  bool   `json:"http,omitempty"`
}

// Bounds of a manifest; one that exceeds them is refused as a whole. Lengths of
// texts are in characters, as JSON Schema counts them.
const (
	ManifestLabel   = "dev.consentry.manifest" // image label or annotation
	ManifestSection = "consentry.manifest"     // wasm custom section
	ManifestSuffix  = ".manifest.json"         // of a file beside a module: FILE.wasm.manifest.json
	MaxManifest     = 64 << 10                 // bytes
	maxRights       = 200
	maxPorts        = 20
	maxText         = 500 // of a reason, a target and what does not work without
	maxName         = 200 // of an app or a port
)

// ParseManifest reads the JSON of a manifest. It takes exactly what
// sdk/manifest.schema.json takes: names of members as they are spelled there
// and each of them once, nothing unknown, no null, no text after the object.
// So a right is neither lost to a spelling mistake nor read in two ways.
//
// Whether a kind and its target mean anything is not decided here.
func ParseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, &ManifestError{Offset: -1, Err: fmt.Errorf("%d bytes, more than %d", len(raw), MaxManifest)}
	}
	if !utf8.Valid(raw) {
		return nil, &ManifestError{Offset: -1, Err: errors.New("is not UTF-8")}
	}
	if err := manifestShape.check(raw); err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		offset := int64(-1)
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			offset = wrong.Offset
		}
		return nil, &ManifestError{Offset: offset, Err: err}
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return &m, nil
}

// ManifestError is a manifest that is refused, and where: at Path, the way to a
// value ("rights/0/reason"), or where that is empty at Offset, in bytes from the
// beginning; -1 is not known.
type ManifestError struct {
	Path   string
	Offset int64
	Err    error
}

func (e *ManifestError) Error() string { return "manifest: " + e.Err.Error() }

// Unwrap is the reason.
func (e *ManifestError) Unwrap() error { return e.Err }

func wrongAt(path, format string, args ...any) error {
	return &ManifestError{Path: path, Offset: -1, Err: fmt.Errorf(format, args...)}
}

func (m *Manifest) check() error {
	switch {
	case m.Version != 1:
		return wrongAt("version", "version %d is not known, want 1", m.Version)
	case longer(m.Name, maxName):
		return wrongAt("name", "the name has more than %d characters", maxName)
	case m.Exec != "" && m.Exec != ExecImage:
		return wrongAt("exec", "exec %.40q is not known, want %q", m.Exec, ExecImage)
	case len(m.Rights) > maxRights:
		return wrongAt("rights", "%d rights, more than %d", len(m.Rights), maxRights)
	case len(m.Ports) > maxPorts:
		return wrongAt("ports", "%d ports, more than %d", len(m.Ports), maxPorts)
	}
	for i, r := range m.Rights {
		if member, err := r.check(); err != nil {
			return wrongAt(fmt.Sprintf("rights/%d/%s", i, member), "right %d: %w", i+1, err)
		}
	}
	for i, p := range m.Ports {
		if p.Port == 0 || longer(p.Label, maxName) {
			return wrongAt(fmt.Sprintf("ports/%d", i), "port %d: is 0, or its label has more than %d characters", i+1, maxName)
		}
	}
	return nil
}

// kindForm is every kind of right; which data kinds there are is for others.
// Compiled at its first use: every process of ours begins with this package.
var kindForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(net\.(connect|listen)|file\.(read|write)|url\.open|notify|secret\.use|data\.[a-z][a-z0-9_-]{0,31})$`)
})

// check also names the member that is wrong.
func (r Right) check() (member string, err error) {
	switch {
	case !kindForm().MatchString(r.Kind):
		return "kind", fmt.Errorf("%.40q is no kind of right", r.Kind)
	case r.Target == "":
		return "target", fmt.Errorf("%s has no target", r.Kind)
	case r.Reason == "":
		return "reason", fmt.Errorf("%s %.80s has no reason", r.Kind, r.Target)
	}
	for _, text := range []struct{ member, value string }{{"reason", r.Reason}, {"without", r.Without}, {"target", r.Target}} {
		if longer(text.value, maxText) {
			return text.member, fmt.Errorf("the %s has more than %d characters", text.member, maxText)
		}
	}
	return "", nil
}

func longer(text string, characters int) bool { return utf8.RuneCountInString(text) > characters }
