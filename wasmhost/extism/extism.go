package extism

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/consentry/consentry/wasmhost/abi"
)

// ModuleName is the module that plugins import.
const ModuleName = "extism:host/env"

// UserModule is where plugins import functions of their own host.
const UserModule = "extism:host/user"

// Bounds.
const (
	MaxMemory = 256 << 20 // bytes shared by host and plugin
	maxVars   = 1 << 20   // bytes of all variables, with their names
	maxAnswer = 64 << 20  // bytes of an HTTP answer
	maxLog    = 8 << 10   // bytes of one line
)

// Request is an HTTP request of a plugin.
type Request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"-"`
}

// Config is what a Host offers to its plugin.
type Config struct {
	Input  []byte
	Values map[string]string // the configuration
	// Fetch asks for each hop and follows redirects.
	Fetch func(context.Context, Request) (*http.Response, error)
	Log   func(line string)
}

// Host is the environment of one plugin and one call. Its methods run on the
// plugin's goroutine.
type Host struct {
	cfg    Config
	mem    *memory
	input  uint64 // offset of the block
	output span
	failed uint64 // offset of the error's text, 0 if there is none
	vars   map[string][]byte
	status int
	header uint64 // offset of the answer's headers
}

type span struct{ offset, length uint64 }

// New returns a Host with the input in its memory.
func New(c Config) (*Host, error) {
	h := &Host{cfg: c, mem: newMemory(MaxMemory), vars: map[string][]byte{}}
	return h, h.SetInput(c.Input)
}

// SetInput puts the input into the memory, before the call.
func (h *Host) SetInput(input []byte) error {
	h.input = h.mem.put(input)
	if h.input == 0 && len(input) > 0 {
		return fmt.Errorf("input is %d bytes, more than fit", len(input))
	}
	return nil
}

// Output is what the plugin gave; an error if it set one.
func (h *Host) Output() ([]byte, error) {
	out, err := h.mem.slice(h.output.offset, h.output.length)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	if h.failed == 0 {
		return out, nil
	}
	text, err := h.mem.slice(h.failed, h.mem.length(h.failed))
	if err != nil {
		return out, fmt.Errorf("error of the plugin: %w", err)
	}
	return out, errors.New(clean(string(text)))
}

// Failure ends the call of a plugin; a plugin cannot catch it.
type Failure struct{ Err error }

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// function is one of the module's; run returns its result, if it has one.
type function struct {
	name   string
	params string // as in abi: i for i32, I for i64
	result string
	run    func(context.Context, []uint64) (uint64, error)
}

// Offers tells whether the module has a function of that name.
func Offers(name string) bool {
	for _, f := range (*Host)(nil).functions() {
		if f.name == name {
			return true
		}
	}
	return false
}

// Instantiate makes those functions of h available to the modules of engine
// that names has.
func Instantiate(ctx context.Context, engine wazero.Runtime, h *Host, names []string) error {
	b := engine.NewHostModuleBuilder(ModuleName)
	for _, f := range h.functions() {
		if !slices.Contains(names, f.name) {
			continue
		}
		b.NewFunctionBuilder().
			WithGoModuleFunction(f.wrap(), abi.Types(f.params), abi.Types(f.result)).
			Export(f.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// wrap returns to the plugin only while the run goes on.
func (f function) wrap() api.GoModuleFunc {
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		got, err := f.run(ctx, stack)
		abi.CheckRunning(ctx)
		if err != nil {
			panic(&Failure{fmt.Errorf("%s: %w", f.name, err)})
		}
		if f.result != "" {
			stack[0] = got
		}
	}
}

// clean makes one line of what a plugin says.
func clean(text string) string {
	if len(text) > maxLog {
		text = text[:maxLog]
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text), "\uFFFD")
}
