package wasmhost

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// ErrSockets is wrapped by errors about modules that want sockets.
var ErrSockets = errors.New("there are no sockets; " +
	"use the HTTP functions of module " + bridge.ModuleName + " (http_fetch, http_status, read, close), see sdk/README.md")

// Runnable tells why the module cannot be run here; nil means it can.
func (m Module) Runnable() error { return m.RunnableAs(nil) }

// RunnableAs tells why call cannot be run here; a nil call is that of _start.
func (m Module) RunnableAs(call *sandbox.ModuleCall) error {
	var unknown []string
	for _, imp := range m.Imports {
		switch {
		case wantsSockets(imp):
			return fmt.Errorf("module imports %s.%s: %w", imp.Module, imp.Name, ErrSockets)
		case !imp.Func || !offered(imp):
			unknown = append(unknown, imp.Module+"."+imp.Name)
		}
	}
	if len(unknown) > 0 {
		return unknownImports(unknown)
	}
	return m.runnableEntry(call)
}

func (m Module) runnableEntry(call *sandbox.ModuleCall) error {
	switch {
	case call == nil && m.Command:
		return nil
	case call == nil && m.wants(extism.ModuleName):
		return fmt.Errorf("module is an Extism plugin, not a program; name one of its functions with --call: %s", m.functions())
	case call == nil:
		return fmt.Errorf("module has no _start function: it is a library, not a program; build it as a WASI command, "+
			"or name one of its functions with --invoke: %s", m.functions())
	case !slices.Contains(m.Functions, call.Function):
		return fmt.Errorf("module exports no function %q; it has: %s", call.Function, m.functions())
	}
	return nil
}

// functions lists a few exports for people.
func (m Module) functions() string {
	const shown = 12
	if len(m.Functions) == 0 {
		return "it exports none"
	}
	list := m.Functions[:min(shown, len(m.Functions))]
	text := strings.Join(list, ", ")
	if len(list) < len(m.Functions) {
		text += ", …"
	}
	return fmt.Sprintf("%.500q", text)
}

func (m Module) wants(module string) bool {
	return slices.ContainsFunc(m.Imports, func(imp Import) bool { return imp.Module == module })
}

// imported are the names that it imports from module.
func (m Module) imported(module string) []string {
	var names []string
	for _, imp := range m.Imports {
		if imp.Module == module {
			names = append(names, imp.Name)
		}
	}
	return names
}

func offered(imp Import) bool {
	switch imp.Module {
	case wasi.ModuleName:
		return wasi.Offers(imp.Name)
	case bridge.ModuleName:
		return bridge.Offers(imp.Name)
	case extism.ModuleName:
		return extism.Offers(imp.Name)
	}
	return false
}

// wantsSockets knows the socket extensions of WasmEdge, WAMR and WASIX.
func wantsSockets(imp Import) bool {
	switch imp.Module {
	case wasi.ModuleName:
		return strings.HasPrefix(imp.Name, "sock_") && !wasi.Offers(imp.Name)
	case "wasi_experimental_sockets", "wasi_ephemeral_sock", "wasi:sockets":
		return true
	}
	return strings.HasPrefix(imp.Module, "wasix_") && strings.HasPrefix(imp.Name, "sock_")
}

func unknownImports(list []string) error {
	const shown = 5
	hint := "it needs another host"
	for _, name := range list {
		switch {
		case strings.HasPrefix(name, extism.UserModule+"."):
			hint = "that is a function of the plugin's own host program, which only that program can bring"
		case strings.HasPrefix(name, "wasi_unstable."):
			hint = "it was built for WASI preview 0: build it anew for preview 1 (wasm32-wasip1)"
		case strings.HasPrefix(name, "wasi:"):
			hint = "it was built for WASI preview 2: build it for preview 1 (wasm32-wasip1)"
		case strings.HasPrefix(name, "wasix_"):
			hint = "it was built for WASIX: build it for WASI preview 1 (wasm32-wasip1)"
		case strings.HasPrefix(name, "gojs."), strings.HasPrefix(name, "go."):
			hint = "it was built for browsers: build it with GOOS=wasip1 GOARCH=wasm"
		case strings.HasPrefix(name, "wbg."), strings.HasPrefix(name, "./"), strings.HasPrefix(name, "env.emscripten"):
			hint = "it was built for browsers: build it for wasm32-wasip1"
		}
	}
	more := ""
	if len(list) > shown {
		more = fmt.Sprintf(" and %d more", len(list)-shown)
		list = list[:shown]
	}
	return fmt.Errorf("module imports %s%s, which Consentry does not offer; %s", strings.Join(list, ", "), more, hint)
}
