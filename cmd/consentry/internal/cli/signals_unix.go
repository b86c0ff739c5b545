//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals the app gets in our place, with their Linux
// numbers, which differ from ours on some systems.
var forwarded = map[os.Signal]int{
	syscall.SIGHUP: 1, syscall.SIGINT: 2, syscall.SIGQUIT: 3,
	syscall.SIGUSR1: 10, syscall.SIGUSR2: 12, syscall.SIGTERM: 15,
}

// takeSignals keeps them from ending this process, and a closed pipe besides,
// so that the terminal is put back first.
func takeSignals() (signals, resized chan os.Signal, stop func()) {
	signals, resized = make(chan os.Signal, 16), make(chan os.Signal, 1)
	for s := range forwarded {
		signal.Notify(signals, s)
	}
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	signal.Notify(resized, syscall.SIGWINCH)
	return signals, resized, func() {
		signal.Stop(signals)
		signal.Stop(resized)
		signal.Stop(pipe)
	}
}
