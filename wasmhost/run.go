package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// trapCode is the exit code after a trap: 128 + SIGABRT.
const trapCode = 128 + 6

// run is one module that runs. It is the sandbox.Instance.
//
//	begin ──> execute on a goroutine of its own ──> close(done)
//	             ^ end: cancels ctx (host calls) and sets the stop flag (guest code);
//	               before begin it begins, and nothing is executed
type run struct {
	*Loaded
	spec   sandbox.Spec
	used   int64 // bytes of memory when guest code ended
	system *wasi.System
	bridge *bridge.Bridge
	plugin *extism.Host // nil unless the module imports it

	begin  func() // does it once
	cancel context.CancelCauseFunc
	done   chan struct{}
	exit   sandbox.Exit // valid once done is closed

	mu    sync.Mutex
	ended *ending           // why the host ended the run, nil if it did not
	flag  api.MutableGlobal // nil before the module is instantiated and after it ended
}

var (
	_ sandbox.Instance = (*run)(nil)
	_ sandbox.Signaler = (*run)(nil)
)

// ending is why the host ended the run.
type ending struct{ exit sandbox.Exit }

func (e *ending) Error() string { return "run ended: " + e.exit.Reason }

// launch sets the module running. The limits of time count from here; cpu 0 is
// none.
func (r *run) launch(ctx context.Context, wall, cpu time.Duration) {
	timer := time.AfterFunc(wall, func() {
		r.end(sandbox.Exit{Code: 128 + int(sandbox.SIGKILL), Reason: fmt.Sprintf("time limit of %s", wall)})
	})
	var watch sync.WaitGroup
	if cpu > 0 {
		watch.Go(func() { watchCPU(ctx, cpu, cpuTime, func(err error) { r.overCPU(cpu, err) }) })
	}
	go func() {
		defer close(r.done)
		defer watch.Wait()
		defer r.cancel(nil)
		defer timer.Stop()
		r.exit = r.outcome(r.execute(ctx))
		r.clean()
	}()
}

func (r *run) overCPU(limit time.Duration, err error) {
	reason := fmt.Sprintf("processor time limit of %s", limit)
	if err != nil {
		reason += fmt.Sprintf(" cannot be watched: %v", err)
	}
	r.exceeded(reason)
}

// execute makes an instance and runs its code.
func (r *run) execute(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // ended before it began
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := r.engine.InstantiateModule(ctx, r.module, config)
	if err != nil {
		return err
	}
	if err := r.arm(mod); err != nil {
		return err
	}
	err = r.enter(ctx, mod)
	if memory := mod.Memory(); memory != nil {
		r.used = int64(memory.Size())
	}
	return err
}

// arm lets end reach the stop flag, also if end was called before.
func (r *run) arm(mod api.Module) error {
	flag, ok := mod.ExportedGlobal(r.names.Stop).(api.MutableGlobal)
	if !ok {
		return errors.New("module has no stop flag")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flag = flag
	if r.ended != nil {
		flag.Set(1)
	}
	return nil
}

// end stops the run; the first reason counts.
func (r *run) end(exit sandbox.Exit) {
	defer r.begin()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != nil {
		return
	}
	r.ended = &ending{exit}
	r.cancel(r.ended)
	r.system.Interrupt()
	if r.flag != nil {
		r.flag.Set(1)
	}
}

// exceeded is called by the system on the guest's own goroutine.
func (r *run) exceeded(limit string) {
	r.end(sandbox.Exit{Code: 128 + int(sandbox.SIGKILL), Reason: limit})
}

// outcome turns how guest code ended into an exit.
func (r *run) outcome(err error) sandbox.Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flag = nil
	var exited *sys.ExitError
	switch {
	case err == nil:
		return sandbox.Exit{}
	case r.ended != nil:
		return r.ended.exit
	case errors.As(err, &exited):
		return sandbox.Exit{Code: int(min(exited.ExitCode(), 255))}
	}
	if exit, known := exitOf(err); known {
		return exit
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	r.log.Debug("trap", "err", err)
	return sandbox.Exit{Code: trapCode, Reason: "trap: " + text + r.nearMemoryLimit()}
}

// nearMemoryLimit is what a trap's reason has to say about memory: most
// languages trap when it does not grow.
func (r *run) nearMemoryLimit() string {
	if r.used < r.memory/8*7 {
		return ""
	}
	return fmt.Sprintf(" (it had %d MiB of memory, and its limit is %d MiB)", r.used>>20, r.memory>>20)
}

func (r *run) clean() {
	r.system.Close()
	r.bridge.Close()
	r.closeEngine()
}

// Wait returns once the module has ended and everything of it is closed.
func (r *run) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-r.done:
		return r.exit, nil
	case <-ctx.Done():
		return sandbox.Exit{}, ctx.Err()
	}
}

// Stop ends the module at once: a module cannot handle signals, so there is
// nothing to wait the grace time for.
func (r *run) Stop(ctx context.Context) error {
	signal := r.spec.Stop.Signal
	if signal == 0 {
		signal = sandbox.SIGTERM
	}
	r.end(sandbox.Exit{Code: 128 + int(signal), Reason: "stopped"})
	_, err := r.Wait(ctx)
	return err
}

// Signal does what the signal does to a program without handlers.
func (r *run) Signal(_ context.Context, signal sandbox.Signal) error {
	if signal < 1 || signal > maxSignal {
		return fmt.Errorf("signal %d: %w", signal, sandbox.ErrInvalid)
	}
	if !ignored[signal] {
		r.end(sandbox.Exit{Code: 128 + int(signal), Reason: fmt.Sprintf("signal %d", signal)})
	}
	return nil
}

const maxSignal = 64

// ignored are the signals whose default is to do nothing, and those that stop
// and continue, which a module cannot: SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
// SIGTTIN, SIGTTOU, SIGURG, SIGWINCH.
var ignored = map[sandbox.Signal]bool{17: true, 18: true, 19: true, 20: true, 21: true, 22: true, 23: true, 28: true}
