package router

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// connectRaw is connect with an address that x/sys has no type for.
func connectRaw(fd int, addr *unix.RawSockaddrAny) error {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(addr)), unsafe.Sizeof(addr.Addr))
	if errno != 0 {
		return errno
	}
	return nil
}
