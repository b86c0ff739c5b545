package wasmhost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/consentry/consentry/wasmhost/rewrite"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// ErrComponent is wrapped by errors about components that cannot be run.
var ErrComponent = errors.New("a WebAssembly component that is more than a wrapped preview 1 module")

const componentHeader = "\x00asm\x0d\x00\x01\x00"

// The sections of a component that are looked at, from the component model's
// binary format.
const (
	sectionCoreModule = 1
	sectionImport     = 10
	maxCoreModules    = 100
)

// Components that the usual tools build of a preview 1 program hold that
// program as a core module, beside an adapter that turns its imports into
// those of preview 2. unwrap finds the program and leaves the rest: it imports
// nothing but preview 1, which is here.
func unwrap(r io.ReaderAt, size int64) (*io.SectionReader, error) {
	s := scanner{r: r, size: size, pos: int64(len(componentHeader))}
	var imports []string
	modules := 0
	for range maxHeaders {
		id, body, ok, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("component is damaged: %w", err)
		}
		if !ok {
			return nil, refuseComponent(imports)
		}
		switch id {
		case sectionCoreModule:
			if modules++; modules > maxCoreModules {
				return nil, fmt.Errorf("component has more than %d modules", maxCoreModules)
			}
			inner, err := Inspect(body, body.Size())
			if err == nil && !inner.Component && inner.Command && inner.Runnable() == nil {
				return body, nil
			}
		case sectionImport:
			raw, err := readBody(body, "import", maxImportSection)
			if err != nil {
				return nil, err
			}
			imports = append(imports, componentImports(raw)...)
		}
	}
	return nil, fmt.Errorf("component has more than %d sections", maxHeaders)
}

// coreOf is the program in a component.
func coreOf(component []byte) ([]byte, error) {
	inner, err := unwrap(bytes.NewReader(component), int64(len(component)))
	if err != nil {
		return nil, err
	}
	return readBody(inner, "module", rewrite.MaxModule)
}

func refuseComponent(imports []string) error {
	const shown = 5
	text := "it imports nothing and holds no preview 1 program"
	if len(imports) > 0 {
		text = "it imports " + strings.Join(imports[:min(shown, len(imports))], ", ")
		if len(imports) > shown {
			text += fmt.Sprintf(" and %d more", len(imports)-shown)
		}
	}
	for _, name := range imports {
		if strings.HasPrefix(name, "wasi:sockets/") {
			return fmt.Errorf("%w; %s; %w", ErrComponent, text, ErrSockets)
		}
	}
	return fmt.Errorf("%w; %s; build it for WASI preview 1 (wasm32-wasip1)", ErrComponent, text)
}

// componentImports reads names up to the first form that it does not know.
func componentImports(raw []byte) []string {
	r := wasmbin.NewReader(raw)
	var names []string
	for range r.Count("imports", wasmbin.MaxImports) {
		form := r.Byte()
		name := r.Name()
		if form == 1 {
			r.Name() // a version's suffix
		}
		switch kind := r.Byte(); kind {
		case 0: // core module
			r.Byte()
			r.U32()
		case 2, 3: // value, type: a bound
			if bound := r.Byte(); bound == 0 || kind == 2 {
				r.U32()
			}
		default:
			r.U32()
		}
		if r.Err() != nil || form > 1 {
			break
		}
		names = append(names, fmt.Sprintf("%.100s", name))
	}
	return names
}
