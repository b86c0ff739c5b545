//go:build !unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals the app gets in our place, with their Linux numbers.
var forwarded = map[os.Signal]int{os.Interrupt: 2, syscall.SIGTERM: 15}

// takeSignals keeps them from ending this process; consoles here do not tell
// of a new size.
func takeSignals() (signals, resized chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 16)
	for s := range forwarded {
		signal.Notify(signals, s)
	}
	return signals, nil, func() { signal.Stop(signals) }
}
