package oci

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrFormat: the thing is in no format that Consentry runs.
	ErrFormat = errors.New("not a format we take; Consentry runs an OCI image or a WebAssembly module, nothing else")
	// ErrNotFound: no such image, here or at the registry.
	ErrNotFound = errors.New("image not found")
	// ErrUnauthorized: the registry wants credentials, or others.
	ErrUnauthorized = errors.New("the registry refused access")
	// ErrCorrupt: bytes are not what their digest or size says, or end early.
	ErrCorrupt = errors.New("image is corrupt")
	// ErrInUse: an app still needs the image.
	ErrInUse = errors.New("image is in use")
)

// notFormat says what the thing at name looks like instead.
func notFormat(name, looksLike string) error {
	return fmt.Errorf("%s is %s: %w", name, looksLike, ErrFormat)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), ErrCorrupt)
}
