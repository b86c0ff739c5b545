package linuxhost

import (
	"fmt"
	"os"
	"runtime"
)

// The hidden subcommands: names under which this program starts itself.
const (
	launcherName = "launcher"
	initName     = "sandbox-init"
	holderName   = "sandbox-ids"
)

// wireFD is the inherited socket of launcher and init.
const wireFD = 3

// Main runs a hidden subcommand and returns its exit code; handled is false
// when name is none of them. The program calls it before anything else, on the
// main goroutine: parent-death signals follow the thread that made a child, so
// that thread must be one that never ends.
func Main(name string, _ []string) (exitCode int, handled bool) {
	var err error
	switch name {
	case launcherName:
		runtime.LockOSThread()
		err = launcherMain()
	case initName:
		runtime.LockOSThread()
		err = initMain()
	case holderName:
		err = holderMain()
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1, true
	}
	return 0, true
}
