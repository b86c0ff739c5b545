package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
)

const (
	formatImage  = string(app.Image)
	formatModule = string(app.Module)
)

var wasmMagic = []byte("\x00asm")

// formatOf says whether a source is a wasm module; everything else is for
// package oci to take or to refuse.
func formatOf(source string) (string, error) {
	if !filepath.IsAbs(source) {
		return formatImage, nil // a registry reference
	}
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &api.Error{
			Code: "not-found", Message: "there is no " + source, Status: statusNotFound,
			Hint: "give a path that exists, or an image reference such as docker.io/library/nginx",
		}
	}
	if err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	if info.IsDir() {
		return formatImage, nil
	}
	file, err := os.Open(source)
	if err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	defer file.Close()
	head := make([]byte, len(wasmMagic))
	if _, err := io.ReadFull(file, head); err == nil && bytes.Equal(head, wasmMagic) {
		return formatModule, nil
	}
	if strings.EqualFold(filepath.Ext(source), ".wasm") {
		return formatModule, nil // wasmhost says what is wrong with it
	}
	return formatImage, nil
}
