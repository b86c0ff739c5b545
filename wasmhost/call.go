package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/extism"
)

// Exit codes of a call in place of _start.
const (
	failedCode = 1
	usageCode  = 2
	heldCode   = 75 // EX_TEMPFAIL of sysexits.h: a later try may succeed
)

// callError ends a run whose call could not be made, or gave an error.
type callError struct {
	code int
	err  error
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &callError{usageCode, fmt.Errorf(format, args...)}
}

// enter runs guest code: the start function, then _start or what was asked for.
func (r *run) enter(ctx context.Context, mod api.Module) error {
	if err := callPlain(ctx, mod, r.names.Start); err != nil {
		return err
	}
	want := r.spec.Module.Call
	if want == nil {
		return callPlain(ctx, mod, "_start")
	}
	f := mod.ExportedFunction(want.Function)
	if f == nil {
		return usage("module exports no function %q", want.Function)
	}
	if err := initialize(ctx, mod, want.Function); err != nil {
		return err
	}
	if want.Plugin {
		return r.callPlugin(ctx, f)
	}
	return r.invoke(ctx, f)
}

// callPlain calls a function without parameters and results; "" is none.
func callPlain(ctx context.Context, mod api.Module, name string) error {
	if name == "" {
		return nil
	}
	f := mod.ExportedFunction(name)
	if f == nil || len(f.Definition().ParamTypes())+len(f.Definition().ResultTypes()) > 0 {
		return fmt.Errorf("function %s takes parameters or gives results", name)
	}
	_, err := f.Call(ctx)
	return err
}

// initialize does for a module that is not a command what its language needs:
// the reactor's _initialize, or constructors, and Haskell's hs_init.
func initialize(ctx context.Context, mod api.Module, called string) error {
	for _, name := range []string{"_initialize", "__wasm_call_ctors"} {
		f := mod.ExportedFunction(name)
		if name == called || f == nil || len(f.Definition().ParamTypes()) > 0 {
			continue
		}
		if _, err := f.Call(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		break
	}
	if f := mod.ExportedFunction("hs_init"); f != nil && len(f.Definition().ParamTypes()) == 2 {
		if _, err := f.Call(ctx, 0, 0); err != nil {
			return fmt.Errorf("hs_init: %w", err)
		}
	}
	return nil
}

// newPlugin makes the environment of a plugin. Input from stdin is read when
// the call is made.
func (r *run) newPlugin() (*extism.Host, error) {
	config := extism.Config{
		Fetch: func(ctx context.Context, q extism.Request) (*http.Response, error) {
			return r.bridge.Fetch(ctx, q.Method, q.URL, q.Headers, q.Body)
		},
		Log: func(line string) { _ = r.system.Write(2, []byte(line+"\n")) }, // nobody reads it, then
	}
	if call := r.spec.Module.Call; call != nil {
		config.Input, config.Values = call.Input, call.Config
	}
	return extism.New(config)
}

// callPlugin calls f by Extism's convention and writes its output.
func (r *run) callPlugin(ctx context.Context, f api.Function) error {
	if r.plugin == nil {
		return usage("module imports nothing of %s, so it is no plugin", extism.ModuleName)
	}
	if len(f.Definition().ParamTypes()) > 0 || len(f.Definition().ResultTypes()) > 1 {
		return usage("function %s is not one of a plugin: it takes parameters", r.spec.Module.Call.Function)
	}
	if r.spec.Module.Call.Stdin {
		input, err := r.system.ReadAll(extism.MaxMemory / 2)
		if err != nil {
			return fmt.Errorf("input: %w", err)
		}
		if err := r.plugin.SetInput(input); err != nil {
			return &callError{usageCode, err}
		}
	}
	result, err := f.Call(ctx)
	if err != nil && !exitedWell(err) {
		return err
	}
	output, err := r.plugin.Output()
	if writeErr := r.system.Write(1, output); writeErr != nil && err == nil {
		err = fmt.Errorf("output: %w", writeErr)
	}
	if err != nil {
		return &callError{failedCode, err}
	}
	if len(result) == 1 && uint32(result[0]) != 0 {
		return &callError{int(min(uint32(result[0]), 255)), errors.New("")}
	}
	return nil
}

// exitedWell is how a plugin ends that is a program.
func exitedWell(err error) bool {
	var exited *sys.ExitError
	return errors.As(err, &exited) && exited.ExitCode() == 0
}

// invoke calls f with the arguments as numbers and writes its results.
func (r *run) invoke(ctx context.Context, f api.Function) error {
	args := r.spec.Process.Args[min(1, len(r.spec.Process.Args)):]
	types := f.Definition().ParamTypes()
	if len(args) != len(types) {
		return usage("function %s takes %d arguments, and got %d", r.spec.Module.Call.Function, len(types), len(args))
	}
	values := make([]uint64, len(types))
	for i, t := range types {
		v, err := parseValue(t, args[i])
		if err != nil {
			return usage("argument %d: %w", i+1, err)
		}
		values[i] = v
	}
	results, err := f.Call(ctx, values...)
	if err != nil {
		return err
	}
	var text strings.Builder
	for i, t := range f.Definition().ResultTypes() {
		text.WriteString(formatValue(t, results[i]) + "\n")
	}
	return r.system.Write(1, []byte(text.String()))
}

// parseValue reads a number; integers may be given signed or unsigned.
func parseValue(t api.ValueType, text string) (uint64, error) {
	switch t {
	case api.ValueTypeI32, api.ValueTypeI64:
		bits := 32
		if t == api.ValueTypeI64 {
			bits = 64
		}
		if u, err := strconv.ParseUint(text, 0, bits); err == nil {
			return u, nil
		}
		s, err := strconv.ParseInt(text, 0, bits)
		if bits == 32 {
			return uint64(uint32(s)), err
		}
		return uint64(s), err
	case api.ValueTypeF32:
		f, err := strconv.ParseFloat(text, 32)
		return uint64(math.Float32bits(float32(f))), err
	case api.ValueTypeF64:
		f, err := strconv.ParseFloat(text, 64)
		return math.Float64bits(f), err
	}
	return 0, fmt.Errorf("a value of type %s cannot be given", api.ValueTypeName(t))
}

func formatValue(t api.ValueType, v uint64) string {
	switch t {
	case api.ValueTypeI32:
		return strconv.FormatInt(int64(int32(v)), 10)
	case api.ValueTypeI64:
		return strconv.FormatInt(int64(v), 10)
	case api.ValueTypeF32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(v))), 'g', -1, 32)
	case api.ValueTypeF64:
		return strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64)
	}
	return api.ValueTypeName(t)
}

// exitOf turns an error of a call into an exit; false if it is none.
func exitOf(err error) (sandbox.Exit, bool) {
	var call *callError
	if errors.As(err, &call) {
		return sandbox.Exit{Code: call.code, Reason: call.Error()}, true
	}
	var failure *extism.Failure
	if !errors.As(err, &failure) {
		return sandbox.Exit{}, false
	}
	code := failedCode
	if errors.Is(err, sandbox.ErrHeld) || errors.Is(err, sandbox.ErrBusy) {
		code = heldCode
	}
	return sandbox.Exit{Code: code, Reason: failure.Error()}, true
}
