package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// int80 makes an i386 system call.
func int80(nr uint32) int32

// i386 asks for the PID the old way; a filter that checks the architecture
// kills this process.
func (p *probe) i386() {
	const getpid = 20
	fmt.Println("answered", int80(getpid))
}

// x32 asks for the PID with the x32 bit.
func x32() string {
	const bit = 0x40000000
	if _, _, errno := unix.RawSyscall(bit+unix.SYS_GETPID, 0, 0, 0); errno != 0 {
		return nameOf(errno)
	}
	return "answered"
}
