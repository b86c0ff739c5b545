package agent

import (
	"context"
	"time"

	"github.com/consentry/consentry/consent"
)

// recheckEvery bounds how long anything outlives a grant that expired by itself.
const recheckEvery = time.Second

// watchRules calls recheck whenever the rules change, and as time passes, until
// ctx ends. A watcher that was too slow for the engine is replaced, after a look.
func watchRules(ctx context.Context, engine *consent.Engine, recheck func()) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		changes, stop := engine.Watch()
		recheck()
		followRules(ctx, changes, tick, recheck)
		stop()
	}
}

func followRules(ctx context.Context, changes <-chan consent.Change, tick *time.Ticker, recheck func()) {
	for {
		select {
		case change, open := <-changes:
			if !open {
				return
			}
			if change.Rules {
				recheck()
			}
		case <-tick.C:
			recheck()
		case <-ctx.Done():
			return
		}
	}
}
