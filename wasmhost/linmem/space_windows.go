package linmem

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func reserve(n uint64) ([]byte, error) {
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return nil, err
	}
	// The address comes as a number: it is read as a pointer through its own
	// location, as it is memory that Go's collector knows nothing of.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), n), nil
}

func commit(space []byte, from, to uint64) error {
	start := uintptr(unsafe.Pointer(&space[from]))
	_, err := windows.VirtualAlloc(start, uintptr(to-from), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

// release cannot fail for a region that reserve made.
func release(space []byte) {
	windows.VirtualFree(uintptr(unsafe.Pointer(&space[0])), 0, windows.MEM_RELEASE)
}
