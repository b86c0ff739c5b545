package consent

import (
	"sync"
	"time"
)

// clock never goes back: it is the latest time ever seen, also by earlier
// agents, plus what has passed since. A clock set back revives nothing; one set
// far forward and back again ends timed grants early, and those given
// afterwards still end.
type clock struct {
	now func() time.Time

	mu   sync.Mutex
	high time.Time
	last time.Time // what now said last; its monotonic reading tells what has passed
}

func newClock(now func() time.Time, high time.Time) *clock {
	return &clock{now: now, high: high, last: now()}
}

// time is the engine's time, in UTC.
func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.now()
	if passed := t.Sub(c.last); passed > 0 {
		c.high = c.high.Add(passed)
	}
	c.last = t
	if wall := t.Round(0).UTC(); wall.After(c.high) {
		c.high = wall
	}
	return c.high
}
