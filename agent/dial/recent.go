package dial

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// recent are the addresses of names that were looked up a moment ago, so that an
// app which opens a thousand connections in a second does not send two thousand
// questions to the user's resolver. What is dialled is judged each time, whether
// it comes from here or not.
type recent struct {
	now func() time.Time

	mu    sync.Mutex
	known map[string]looked
}

type looked struct {
	addrs []netip.Addr
	until time.Time
}

const (
	// Remembered is how long the answer of a look-up is used again: no longer than
	// an owner who changes a name could notice.
	Remembered = time.Second
	// maxRecent bounds the names.
	maxRecent = 1024
)

func newRecent(now func() time.Time) *recent {
	return &recent{now: now, known: map[string]looked{}}
}

// get returns nothing for what is not known.
func (r *recent) get(host string) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.known[host]
	if !ok || r.now().After(found.until) {
		return nil
	}
	return slices.Clone(found.addrs) // who asks may change them
}

func (r *recent) put(host string, addrs []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxRecent {
		clear(r.known)
	}
	r.known[host] = looked{slices.Clone(addrs), r.now().Add(Remembered)}
}
