package router

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// Names get synthetic addresses, an IPv4 and an IPv6 one with the same number.
const (
	answerTTL = 60 * time.Second
	// nameRest is how long a name must have been unused before its place in a
	// full table is given to another; resolvers and clients keep answers longer
	// than they should.
	nameRest = 5 * answerTTL
	// synthetics is how many numbers there are. They are given out in turn, so
	// that one that was taken back is the last to come again. Number 0 is the
	// network address and never used.
	synthetics = 1 << 17
)

// name is one canonical host with its addresses. Its fields are guarded by names.mu.
type name struct {
	host   string
	number uint32
	flows  int // held or open: the name is not given up while there are any
	used   time.Time
}

func (n *name) addr4() netip.Addr {
	base := synthetic4.Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+n.number)))
}

func (n *name) addr6() netip.Addr {
	raw := synthetic6.Addr().As16()
	binary.BigEndian.PutUint32(raw[12:], n.number)
	return netip.AddrFrom16(raw)
}

// names is the table of one app, bounded.
type names struct {
	max      int
	now      func() time.Time
	services *services

	mu       sync.Mutex
	byHost   map[string]*name
	byNumber map[uint32]*name
	last     uint32
}

func newNames(max int, now func() time.Time, own *services) *names {
	return &names{max: max, now: now, services: own, byHost: map[string]*name{}, byNumber: map[uint32]*name{}}
}

func (t *names) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byHost)
}

// resolve returns the addresses of host, which is canonical; ok is false when
// the table is full of names that are in use or were lately.
func (t *names) resolve(host string) (addr4, addr6 netip.Addr, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byHost[host]
	if n == nil {
		if len(t.byHost) >= t.max && !t.evict() {
			return netip.Addr{}, netip.Addr{}, false
		}
		n = t.add(host)
	}
	n.used = t.now()
	return n.addr4(), n.addr6(), true
}

func (t *names) add(host string) *name {
	for {
		t.last = t.last%(synthetics-1) + 1
		if t.byNumber[t.last] == nil {
			break
		}
	}
	n := &name{host: host, number: t.last}
	t.byHost[host], t.byNumber[n.number] = n, n
	return n
}

// evict drops every name that has rested, so that a full table is walked
// seldom; it says whether there was one.
func (t *names) evict() bool {
	limit := t.now().Add(-nameRest)
	before := len(t.byHost)
	for host, n := range t.byHost {
		if n.flows == 0 && n.used.Before(limit) {
			delete(t.byHost, host)
			delete(t.byNumber, n.number)
		}
	}
	return len(t.byHost) < before
}

// acquire finds the name behind a synthetic address and keeps it until it is
// released; nil when there is none.
func (t *names) acquire(addr netip.Addr) *name {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byNumber[numberOf(addr)]
	if n != nil {
		n.flows++
		n.used = t.now()
	}
	return n
}

// release is the end of one flow; n may be nil.
func (t *names) release(n *name) {
	if n == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.flows--
	n.used = t.now()
}

// reverse returns the host behind a synthetic address.
func (t *names) reverse(addr netip.Addr) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byNumber[numberOf(addr)]
	if n == nil {
		return "", false
	}
	return n.host, true
}

func isSynthetic(addr netip.Addr) bool {
	return synthetic4.Contains(addr) || synthetic6.Contains(addr)
}

// numberOf is 0, which no name has, for an address that is not synthetic.
func numberOf(addr netip.Addr) uint32 {
	switch {
	case synthetic4.Contains(addr):
		base, raw := synthetic4.Addr().As4(), addr.As4()
		return binary.BigEndian.Uint32(raw[:]) - binary.BigEndian.Uint32(base[:])
	case synthetic6.Contains(addr):
		raw := addr.As16()
		if binary.BigEndian.Uint32(raw[8:12]) != 0 {
			return 0
		}
		return binary.BigEndian.Uint32(raw[12:])
	}
	return 0
}
