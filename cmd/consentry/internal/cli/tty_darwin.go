package cli

import "golang.org/x/sys/unix"

// The requests of termios(3): TCSADRAIN waits for output, TCSAFLUSH drops
// input besides.
const (
	ioctlGetMode      = unix.TIOCGETA
	ioctlSetMode      = unix.TIOCSETAW
	ioctlSetModeFlush = unix.TIOCSETAF
)
