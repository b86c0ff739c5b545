package wasmhost

import (
	"context"
	"runtime"
	"time"
)

// Bounds of the time between two looks at the processor time.
const (
	shortLook = 2 * time.Millisecond
	longLook  = 10 * time.Second
)

// watchCPU calls over once this process has used more than limit of processor
// time since used was read. It returns when ctx ends. All threads count, those
// of the collector and of host functions too: the process is the run's own.
func watchCPU(ctx context.Context, limit time.Duration, used func() (time.Duration, error), over func(error)) {
	began, err := used()
	for err == nil {
		var now time.Duration
		if now, err = used(); err != nil {
			break
		}
		left := limit - (now - began)
		if left <= 0 {
			over(nil)
			return
		}
		timer := time.NewTimer(nextLook(left, runtime.NumCPU()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
	over(err) // a limit that cannot be watched ends the run
}

// nextLook is how long the rest of the limit lasts at least, with all
// processors busy.
func nextLook(left time.Duration, processors int) time.Duration {
	return min(max(left/time.Duration(max(processors, 1)), shortLook), longLook)
}
