package consent

import (
	"time"

	"github.com/consentry/consentry/consent/chain"
)

// Line is one line of the ledger.
type Line = chain.Line

// line starts a ledger line about a request that is clean.
func (r Request) line(event string, now time.Time) Line {
	return Line{
		Time: now, Event: event, App: r.App.Name, AppID: r.App.ID(), Run: r.Run,
		Kind: string(r.Kind), Target: r.Target,
	}
}

func (r Rule) line(event string, now time.Time) Line {
	return Line{
		Time: now, Event: event, App: r.AppName, AppID: r.App, Run: r.Run, Kind: string(r.Kind),
		Target: r.Target, Verdict: r.Verdict.String(), Source: string(r.Lifetime), Rule: r.ID, By: r.By,
	}
}
