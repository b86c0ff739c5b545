package hcs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/consentry/consentry/sandbox"
)

// computecore.dll, by the names of its functions. HCS handles are pointers,
// documents are UTF-16 strings; those that come back are ours to free.
var (
	library = windows.NewLazySystemDLL("computecore.dll")

	createOperation = library.NewProc("HcsCreateOperation")
	closeOperation  = library.NewProc("HcsCloseOperation")
	waitOperation   = library.NewProc("HcsWaitForOperationResult")
	createSystem    = library.NewProc("HcsCreateComputeSystem")
	startSystem     = library.NewProc("HcsStartComputeSystem")
	getProperties   = library.NewProc("HcsGetComputeSystemProperties")
	terminateSystem = library.NewProc("HcsTerminateComputeSystem")
	waitSystem      = library.NewProc("HcsWaitForComputeSystemExit")
	closeSystem     = library.NewProc("HcsCloseComputeSystem")
	grantAccess     = library.NewProc("HcsGrantVmAccess")
)

// Results that are no failure, or none for us.
const (
	pending        result = 0xc0370103 // HCS_E_OPERATION_PENDING
	alreadyStopped result = 0xc0370110 // HCS_E_SYSTEM_ALREADY_STOPPED
	notFound       result = 0xc037010e // HCS_E_SYSTEM_NOT_FOUND
)

// find says whether the library is there, with all that we call.
func find() error {
	for _, proc := range []*windows.LazyProc{
		createOperation, closeOperation, waitOperation, createSystem, startSystem, getProperties, terminateSystem, waitSystem, closeSystem, grantAccess,
	} {
		if err := proc.Find(); err != nil {
			return fmt.Errorf("%w: Hyper-V is not installed, or too old: %w: %s", sandbox.ErrNotSupported, err, turnOn)
		}
	}
	return nil
}

// operationTime bounds one operation of the service.
const operationTime = time.Minute

// operate makes an operation, has begin start something with it, and waits for
// its result document.
func operate(ctx context.Context, name string, begin func(operation uintptr) result) (string, error) {
	operation, _, err := createOperation.Call(0, 0)
	if operation == 0 {
		return "", fmt.Errorf("HcsCreateOperation: %w", err)
	}
	defer closeOperation.Call(operation) //nolint:errcheck // it returns nothing
	if r := begin(operation); int32(r) < 0 && r != pending {
		return "", failed(name, r, "")
	}
	limit := operationTime
	if end, has := ctx.Deadline(); has {
		limit = max(min(limit, time.Until(end)), 0)
	}
	var said *uint16
	r, _, _ := waitOperation.Call(operation, uintptr(limit.Milliseconds()), uintptr(unsafe.Pointer(&said)))
	text := take(said)
	if int32(r) < 0 { //nolint:gosec // an HRESULT has 32 bits
		return "", failed(name, result(r), text) //nolint:gosec // as above
	}
	return text, ctx.Err()
}

// take copies a string of the library's and frees it.
func take(s *uint16) string {
	if s == nil {
		return ""
	}
	text := windows.UTF16PtrToString(s)
	windows.LocalFree(windows.Handle(unsafe.Pointer(s))) //nolint:errcheck // it is what the library allocated
	return text
}

// system is a machine of the service.
type system struct{ handle uintptr }

// newSystem defines a machine; it runs nothing yet.
func newSystem(ctx context.Context, id string, document []byte) (s system, err error) {
	name, err := windows.UTF16PtrFromString(id)
	if err != nil {
		return s, err
	}
	text, err := windows.UTF16PtrFromString(string(document))
	if err != nil {
		return s, err
	}
	_, err = operate(ctx, "create a machine", func(operation uintptr) result {
		r, _, _ := createSystem.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(text)), operation, 0, uintptr(unsafe.Pointer(&s.handle)))
		return result(r) //nolint:gosec // an HRESULT has 32 bits
	})
	runtime.KeepAlive(text)
	if err != nil && s.handle != 0 {
		s.close()
	}
	return s, err
}

func (s system) start(ctx context.Context) error {
	_, err := operate(ctx, "start the machine", func(operation uintptr) result {
		r, _, _ := startSystem.Call(s.handle, operation, 0)
		return result(r) //nolint:gosec // an HRESULT has 32 bits
	})
	return err
}

// properties is what the service says of the machine, as JSON.
func (s system) properties(ctx context.Context) (string, error) {
	return operate(ctx, "look at the machine", func(operation uintptr) result {
		r, _, _ := getProperties.Call(s.handle, operation, 0)
		return result(r) //nolint:gosec // an HRESULT has 32 bits
	})
}

// terminate ends the machine at once; one that has ended is no error.
func (s system) terminate(ctx context.Context) error {
	var ended bool
	_, err := operate(ctx, "end the machine", func(operation uintptr) result {
		r, _, _ := terminateSystem.Call(s.handle, operation, 0)
		ended = result(r) == alreadyStopped || result(r) == notFound //nolint:gosec // an HRESULT has 32 bits
		return result(r)                                             //nolint:gosec // as above
	})
	if ended {
		return nil
	}
	return err
}

// wait returns when the machine has ended, with the service's document on how.
func (s system) wait() (string, error) {
	var said *uint16
	r, _, _ := waitSystem.Call(s.handle, windows.INFINITE, uintptr(unsafe.Pointer(&said)))
	text := take(said)
	if int32(r) < 0 { //nolint:gosec // an HRESULT has 32 bits
		return "", failed("wait for the machine", result(r), text) //nolint:gosec // as above
	}
	return text, nil
}

func (s system) close() {
	closeSystem.Call(s.handle) //nolint:errcheck // it returns nothing
}

// grant lets the machine's own process read a file.
func grant(id string, paths ...string) error {
	name, err := windows.UTF16PtrFromString(id)
	if err != nil {
		return err
	}
	var errs error
	for _, path := range paths {
		file, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return err
		}
		if r, _, _ := grantAccess.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(file))); int32(r) < 0 { //nolint:gosec // an HRESULT
			errs = errors.Join(errs, failed("let the machine read "+path, result(r), "")) //nolint:gosec // as above
		}
	}
	return errs
}
