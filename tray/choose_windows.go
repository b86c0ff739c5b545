package tray

import (
	"context"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	comdlg32             = windows.NewLazySystemDLL("comdlg32.dll")
	getOpenFileName      = comdlg32.NewProc("GetOpenFileNameW")
	commDlgExtendedError = comdlg32.NewProc("CommDlgExtendedError")
)

// openFileName is OPENFILENAMEW
// (https://learn.microsoft.com/windows/win32/api/commdlg/ns-commdlg-openfilenamew).
type openFileName struct {
	size                     uint32
	owner, instance          uintptr
	filter                   *uint16
	customFilter             *uint16
	maxCustomFilter          uint32
	filterIndex              uint32
	file                     *uint16
	maxFile                  uint32
	fileTitle                *uint16
	maxFileTitle             uint32
	initialDir, title        *uint16
	flags                    uint32
	fileOffset, extension    uint16
	defExt                   *uint16
	custData, hook           uintptr
	templateName             *uint16
	reserved                 uintptr
	reservedWord, flagsExtra uint32
}

// OFN_EXPLORER, OFN_FILEMUSTEXIST, OFN_PATHMUSTEXIST, OFN_NOCHANGEDIR,
// OFN_HIDEREADONLY.
const openFileFlags = 0x80000 | 0x1000 | 0x800 | 0x8 | 0x4

// choose asks by the system's own dialog, which cannot be ended by ctx.
func choose(context.Context) (string, error) {
	filter := utf16s("Apps (*.wasm, *.tar)", "*.wasm;*.tar;*.tar.gz;*.tgz", "All files", "*.*")
	file := make([]uint16, windows.MAX_LONG_PATH)
	title := utf16s("Add an app – Consentry")
	o := openFileName{
		filter: &filter[0], file: &file[0], maxFile: uint32(len(file)), title: &title[0], flags: openFileFlags,
	}
	o.size = uint32(unsafe.Sizeof(o))
	if done, _, _ := getOpenFileName.Call(uintptr(unsafe.Pointer(&o))); done == 0 {
		if code, _, _ := commDlgExtendedError.Call(); code != 0 {
			return "", fmt.Errorf("choose a file: error %#x of the dialog", code)
		}
		return "", nil // the user has closed it
	}
	return windows.UTF16ToString(file), nil
}

// utf16s are strings behind each other, with an empty one at the end.
func utf16s(texts ...string) (list []uint16) {
	for _, text := range texts {
		list = append(list, windows.StringToUTF16(text)...)
	}
	return append(list, 0)
}
