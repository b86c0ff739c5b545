package wsl

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shellExecuteInfo is SHELLEXECUTEINFOW (shellapi.h).
type shellExecuteInfo struct {
	size       uint32
	mask       uint32
	window     windows.Handle
	verb       *uint16
	file       *uint16
	parameters *uint16
	directory  *uint16
	show       int32
	instance   windows.Handle
	idList     uintptr
	class      *uint16
	classKey   windows.Handle
	hotKey     uint32
	icon       windows.Handle
	process    windows.Handle
}

const (
	maskNoCloseProcess = 0x40  // SEE_MASK_NOCLOSEPROCESS
	maskNoUI           = 0x400 // SEE_MASK_FLAG_NO_UI: no window about errors
	showHidden         = 0     // SW_HIDE
)

var shellExecuteEx = windows.NewLazySystemDLL("shell32.dll").NewProc("ShellExecuteExW")

// Elevate runs a program as administrator, after the user's yes to Windows, and
// waits for its end. nil is returned where this process is one already.
func Elevate() func(ctx context.Context, program string, args []string) error {
	if windows.GetCurrentProcessToken().IsElevated() {
		return nil
	}
	return elevated
}

func elevated(ctx context.Context, program string, args []string) error {
	verb, err := windows.UTF16PtrFromString("runas")
	if err != nil {
		return err
	}
	file, err := windows.UTF16PtrFromString(program)
	if err != nil {
		return err
	}
	parameters, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(args))
	if err != nil {
		return err
	}
	info := shellExecuteInfo{mask: maskNoCloseProcess | maskNoUI, verb: verb, file: file, parameters: parameters, show: showHidden}
	info.size = uint32(unsafe.Sizeof(info))
	if ok, _, err := shellExecuteEx.Call(uintptr(unsafe.Pointer(&info))); ok == 0 {
		if errors.Is(err, windows.ERROR_CANCELLED) {
			return errors.New("Windows was told no: without an administrator's yes no rule is made")
		}
		return fmt.Errorf("as administrator: %w", err)
	}
	defer windows.CloseHandle(info.process) //nolint:errcheck // it is waited for
	return await(ctx, info.process)
}

// await waits for a process.
func await(ctx context.Context, process windows.Handle) error {
	for {
		state, err := windows.WaitForSingleObject(process, uint32((100 * time.Millisecond).Milliseconds()))
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case state == windows.WAIT_OBJECT_0:
			var code uint32
			if err := windows.GetExitCodeProcess(process, &code); err != nil {
				return err
			}
			if code != 0 {
				return fmt.Errorf("it ended with %d", code)
			}
			return nil
		}
	}
}
