package abi

import (
	"context"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// stoppedCode is only seen by the instance, which knows why it stopped.
const stoppedCode = 255

// Call is one call from the guest.
type Call struct {
	Mem  Memory
	args []uint64
}

// U32 is the i-th argument, an i32. wazero leaves the upper half undefined.
func (c Call) U32(i int) uint32 { return uint32(c.args[i]) }

// U64 is the i-th argument, an i64.
func (c Call) U64(i int) uint64 { return c.args[i] }

// Str is the string whose pointer and length are arguments i and i+1.
func (c Call) Str(i int) string { return c.Mem.String(c.U32(i), c.U32(i+1)) }

// Func is one host function that returns an Errno.
type Func struct {
	Name   string
	Params string // one letter each: i for i32, I for i64
	Run    func(context.Context, Call) Errno
}

// Export adds those of funcs that names has to the host module that b builds.
func Export(b wazero.HostModuleBuilder, funcs []Func, names []string) {
	for _, f := range funcs {
		if !slices.Contains(names, f.Name) {
			continue
		}
		b.NewFunctionBuilder().
			WithGoModuleFunction(wrap(f.Run), Types(f.Params), []api.ValueType{api.ValueTypeI32}).
			Export(f.Name)
	}
}

// Types are the parameters or results that letters stand for.
func Types(letters string) []api.ValueType {
	types := make([]api.ValueType, len(letters))
	for i, c := range letters {
		types[i] = api.ValueTypeI32
		if c == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// wrap returns to the guest only while the run goes on, so that a guest which
// does nothing but host calls ends as promptly as one that loops.
func wrap(run func(context.Context, Call) Errno) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		errno := guarded(ctx, run, Call{Mem: Memory{mod.Memory()}, args: stack})
		CheckRunning(ctx)
		stack[0] = uint64(errno)
	}
}

// CheckRunning does not return to the guest if the run has been stopped. It
// must run on the goroutine of the call.
func CheckRunning(ctx context.Context) {
	if ctx.Err() != nil {
		panic(sys.NewExitError(stoppedCode))
	}
}

func guarded(ctx context.Context, run func(context.Context, Call) Errno, c Call) (errno Errno) {
	defer func() {
		if p := recover(); p != nil {
			if _, isFault := p.(fault); !isFault {
				panic(p)
			}
			errno = EFAULT
		}
	}()
	return run(ctx, c)
}
