package oci

import (
	"io"
	"sync"
	"time"
)

// Progress is one step of a pull. Done and Total are bytes; Total is 0 when it
// is not known. Item is a short layer digest, or the reference.
type Progress struct {
	Phase, Item string // Phase is "resolve", "download" or "unpack"
	Done, Total int64
}

// progressEvery is the least time between two reports of one item.
const progressEvery = 100 * time.Millisecond

// meter reports the progress of one item, not too often, and always its end.
type meter struct {
	report func(Progress)
	phase  string
	item   string
	total  int64

	mu   sync.Mutex
	done int64
	last time.Time
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	m.done += n
	now := time.Now()
	due := now.Sub(m.last) >= progressEvery
	if due {
		m.last = now
	}
	p := Progress{Phase: m.phase, Item: m.item, Done: m.done, Total: m.total}
	m.mu.Unlock()
	if due && m.report != nil {
		m.report(p)
	}
}

func (m *meter) finish() {
	m.mu.Lock()
	p := Progress{Phase: m.phase, Item: m.item, Done: m.done, Total: m.done}
	m.mu.Unlock()
	if m.report != nil {
		m.report(p)
	}
}

// metered counts what is read.
type metered struct {
	io.Reader
	meter *meter
}

func (r metered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.meter.add(int64(n))
	return n, err
}
