package agent

import (
	"sync"
	"time"

	"github.com/consentry/consentry/consent"
)

// tallyTime is how long uses of the same thing are counted before they make a
// line of the ledger. The first one makes a line at once.
const tallyTime = 10 * time.Second

// maxTally bounds the things of which uses are counted, for one run.
const maxTally = 256

// tally writes the uses of one run into the ledger: what happens thousands of
// times a second is a line every few seconds.
type tally struct {
	engine *consent.Engine

	mu      sync.Mutex
	waiting map[useKey]*consent.Use
	timer   *time.Timer
}

// useKey says which uses are the same thing.
type useKey struct {
	kind                  consent.Kind
	target, rule, request string
}

func newTally(engine *consent.Engine) *tally {
	return &tally{engine: engine, waiting: map[useKey]*consent.Use{}}
}

func (t *tally) add(u consent.Use) {
	u.Times = max(u.Times, 1)
	key := useKey{u.Kind, u.Target, u.Rule, u.Request}
	t.mu.Lock()
	if sum := t.waiting[key]; sum != nil {
		sum.Times += u.Times
		sum.In += u.In
		sum.Out += u.Out
		t.mu.Unlock()
		return
	}
	if len(t.waiting) < maxTally {
		rest := u
		rest.Times, rest.In, rest.Out = 0, 0, 0
		t.waiting[key] = &rest
		if t.timer == nil {
			t.timer = time.AfterFunc(tallyTime, t.flush)
		}
	}
	t.mu.Unlock()
	t.engine.Used(u)
}

// flush writes what was counted. It is the last call as well.
func (t *tally) flush() {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting, t.timer = map[useKey]*consent.Use{}, nil
	t.mu.Unlock()
	for _, u := range waiting {
		if u.Times > 0 {
			t.engine.Used(*u)
		}
	}
}
