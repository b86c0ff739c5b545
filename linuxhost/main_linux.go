package linuxhost

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/linuxhost/rootless"
)

// The hidden subcommands: names under which this program starts itself.
const (
	launcherName = "launcher"
	initName     = "sandbox-init"
	holderName   = "sandbox-ids"
)

// wireFD is the inherited socket of launcher and init.
const wireFD = 3

// init keeps the main goroutine of a hidden subcommand on the main thread, which
// is possible only this early: it is the thread that /proc shows for a process,
// and the one that never ends.
func init() {
	if len(os.Args) > 1 && (os.Args[1] == launcherName || os.Args[1] == initName) {
		runtime.LockOSThread()
	}
}

// Main runs a hidden subcommand and returns its exit code; handled is false
// when name is none of them. The program calls it before anything else, on the
// main goroutine, with name the program's first argument: parent-death signals
// follow the thread that made a child, so that thread must be one that never
// ends.
func Main(name string, args []string) (exitCode int, handled bool) {
	var err error
	if (name == launcherName || name == initName) && unix.Gettid() != os.Getpid() {
		fmt.Fprintf(os.Stderr, "%s: must be the first argument of its own process\n", name)
		return 1, true
	}
	switch name {
	case launcherName:
		err = launcherMain(args)
	case initName:
		err = initMain()
	case holderName:
		err = holderMain()
	case rootless.StageName:
		err = rootless.Stage(args)
	case bpf.ProofName:
		err = bpf.ProofMain(os.Stdout)
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1, true
	}
	return 0, true
}
