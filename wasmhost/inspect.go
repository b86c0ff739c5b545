package wasmhost

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/wasmhost/rewrite"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// ErrNotWasm is wrapped by errors about files that are no module.
var ErrNotWasm = errors.New("not a WebAssembly module; Consentry runs WebAssembly modules (.wasm) and OCI images, nothing else")

// Bounds of what Inspect reads.
const (
	maxImportSection = 4 << 20  // bytes
	maxExportSection = 16 << 20 // bytes
	maxHeaders       = 10_000   // sections
)

// Module is what a module says about itself, before anything of it runs.
type Module struct {
	Size     int64
	Manifest *app.Manifest // nil if it has none
	Imports  []Import
	Command  bool // has _start, so it can be run
	// Component says that the module was taken out of a component.
	Component bool
	// Functions are the names of the exported functions.
	Functions []string
}

// Import is one thing the module wants from its host.
type Import struct {
	Module string
	Name   string
	Func   bool
}

// Inspect reads the headers of a module: the custom section
// consentry.manifest, imports and exports. Whether it can be run here is
// Runnable's to say.
func Inspect(r io.ReaderAt, size int64) (Module, error) {
	component, err := checkMagic(r, size)
	if err != nil {
		return Module{}, err
	}
	if size > rewrite.MaxModule {
		return Module{}, fmt.Errorf("module is %d bytes, more than %d", size, rewrite.MaxModule)
	}
	if component {
		inner, err := unwrap(r, size)
		if err != nil {
			return Module{}, err
		}
		m, err := Inspect(inner, inner.Size())
		m.Size, m.Component = size, true
		return m, err
	}
	m := Module{Size: size}
	s := scanner{r: r, size: size, pos: int64(len(wasmbin.Header))}
	for range maxHeaders {
		id, body, ok, err := s.next()
		if err != nil {
			return Module{}, fmt.Errorf("module is damaged: %w", err)
		}
		if !ok {
			return m, nil
		}
		if err := m.section(id, body); err != nil {
			return Module{}, err
		}
	}
	return Module{}, fmt.Errorf("module has more than %d sections", maxHeaders)
}

func inspectBytes(module []byte) (Module, error) {
	return Inspect(bytes.NewReader(module), int64(len(module)))
}

func checkMagic(r io.ReaderAt, size int64) (component bool, err error) {
	head := make([]byte, min(size, int64(len(wasmbin.Header))))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read module: %w", err)
	}
	switch {
	case string(head) == wasmbin.Header:
		return false, nil
	case string(head) == componentHeader:
		return true, nil
	case bytes.HasPrefix(head, []byte(wasmbin.Header[:4])):
		return false, fmt.Errorf("WebAssembly version % x is not known: %w", head[4:], ErrNotWasm)
	}
	return false, fmt.Errorf("%s: %w", describe(head), ErrNotWasm)
}

// describe names what people mistake for a module.
func describe(head []byte) string {
	kinds := []struct{ magic, name string }{
		{"\x7fELF", "a Linux program (ELF)"},
		{"MZ", "a Windows program"},
		{"\xcf\xfa\xed\xfe", "a macOS program"},
		{"\xca\xfe\xba\xbe", "a macOS program or Java class"},
		{"PK\x03\x04", "a zip file"},
		{"\x1f\x8b", "a gzip file"},
		{"#!", "a script"},
		{"(module", "WebAssembly text; compile it with wat2wasm"},
	}
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.name
		}
	}
	if len(head) == 0 {
		return "an empty file"
	}
	return "a file of unknown kind"
}

// section takes what it wants to know out of one section.
func (m *Module) section(id wasmbin.SectionID, body *io.SectionReader) error {
	switch id {
	case wasmbin.Custom:
		return m.custom(body)
	case wasmbin.Import:
		raw, err := readBody(body, "import", maxImportSection)
		if err != nil {
			return err
		}
		return m.imports(raw)
	case wasmbin.Export:
		raw, err := readBody(body, "export", maxExportSection)
		if err != nil {
			return err
		}
		return m.exports(raw)
	}
	return nil
}

func (m *Module) custom(body *io.SectionReader) error {
	const nameRoom = len(app.ManifestSection) + 5 // with its length, in LEB128
	head := make([]byte, min(body.Size(), int64(nameRoom)))
	if _, err := body.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read module: %w", err)
	}
	r := wasmbin.NewReader(head)
	if string(r.Bytes(int(min(r.U32(), uint32(nameRoom))))) != app.ManifestSection {
		return nil
	}
	if m.Manifest != nil {
		return errors.New("module has two manifests")
	}
	text := io.NewSectionReader(body, int64(r.Pos()), body.Size()-int64(r.Pos()))
	raw, err := readBody(text, "manifest", app.MaxManifest)
	if err != nil {
		return err
	}
	m.Manifest, err = app.ParseManifest(raw)
	if err != nil {
		m.Manifest = nil
	}
	return err
}

func (m *Module) imports(raw []byte) error {
	entries, err := wasmbin.Imports(raw)
	if err != nil {
		return fmt.Errorf("module is damaged: imports: %w", err)
	}
	for _, e := range entries {
		m.Imports = append(m.Imports, Import{Module: e.Module, Name: e.Name, Func: e.Kind == wasmbin.KindFunc})
	}
	return nil
}

func (m *Module) exports(raw []byte) error {
	entries, err := wasmbin.Exports(raw)
	if err != nil {
		return fmt.Errorf("module is damaged: exports: %w", err)
	}
	for _, e := range entries {
		if e.Kind == wasmbin.KindFunc {
			m.Functions = append(m.Functions, e.Name)
			m.Command = m.Command || e.Name == "_start"
		}
	}
	return nil
}

func readBody(r *io.SectionReader, what string, limit int64) ([]byte, error) {
	if r.Size() > limit {
		return nil, fmt.Errorf("%s section is %d bytes, more than %d", what, r.Size(), limit)
	}
	raw := make([]byte, r.Size())
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	return raw, nil
}

// scanner steps over the sections of a module without reading them.
type scanner struct {
	r    io.ReaderAt
	size int64
	pos  int64
}

func (s *scanner) next() (id wasmbin.SectionID, body *io.SectionReader, ok bool, err error) {
	if s.pos == s.size {
		return 0, nil, false, nil
	}
	head := make([]byte, min(s.size-s.pos, 6)) // an id and at most five bytes of length
	if _, err := s.r.ReadAt(head, s.pos); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, false, err
	}
	r := wasmbin.NewReader(head)
	id = wasmbin.SectionID(r.Byte())
	length := int64(r.U32())
	if r.Err() != nil {
		return 0, nil, false, r.Err()
	}
	start := s.pos + int64(r.Pos())
	if length > s.size-start {
		return 0, nil, false, fmt.Errorf("section %d of %d bytes ends behind the file", id, length)
	}
	s.pos = start + length
	return id, io.NewSectionReader(s.r, start, length), true, nil
}
