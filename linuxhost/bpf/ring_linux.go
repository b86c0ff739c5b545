package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// Ring reads what the programs report. One reader at a time gets the events.
type Ring struct {
	reader           *ringbuf.Reader
	events           *ebpf.Map
	counters, traced *ebpf.Map
}

// OpenRing opens the pinned ring of a fence.
func OpenRing(pins string) (*Ring, error) {
	m, err := OpenMaps(pins)
	if err != nil {
		return nil, err
	}
	ring, err := m.Ring()
	return ring, errors.Join(err, m.Close())
}

// Ring opens the ring of events.
func (m *Maps) Ring() (*Ring, error) {
	r := &Ring{}
	for _, c := range []struct {
		into **ebpf.Map
		from *ebpf.Map
	}{{&r.events, m.events}, {&r.counters, m.counters}, {&r.traced, m.traced}} {
		own, err := c.from.Clone()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("events of the kernel: %w", err), r.Close())
		}
		*c.into = own
	}
	reader, err := ringbuf.NewReader(r.events)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("events of the kernel: %w", err), r.Close())
	}
	r.reader = reader
	return r, nil
}

// Close ends a Wait.
func (r *Ring) Close() error {
	var errs error
	if r.reader != nil {
		errs = r.reader.Close()
	}
	for _, m := range []*ebpf.Map{r.events, r.counters, r.traced} {
		if m != nil {
			errs = errors.Join(errs, m.Close())
		}
	}
	return errs
}

// Wait returns the next event, and blocks until there is one. After Close it
// fails.
func (r *Ring) Wait() (Event, error) { return r.read(time.Time{}) }

// Next returns an event that is there already.
func (r *Ring) Next() (Event, error) { return r.read(time.Now()) }

// read passes over what is no event: only our programs write here.
func (r *Ring) read(deadline time.Time) (Event, error) {
	r.reader.SetDeadline(deadline)
	for {
		record, err := r.reader.Read()
		if err != nil {
			return Event{}, fmt.Errorf("events of the kernel: %w", err)
		}
		if e, err := DecodeEvent(record.RawSample); err == nil {
			return e, nil
		}
	}
}

const (
	countLost   = uint32(0)
	countTraced = uint32(1)
)

// Lost counts the events that found the ring full since the fence was raised.
func (r *Ring) Lost() (uint64, error) {
	var lost uint64
	if err := r.counters.Lookup(countLost, &lost); err != nil {
		return 0, fmt.Errorf("lost events: %w", err)
	}
	return lost, nil
}

// Trace says whether allowed calls of a sandbox are reported too; denials
// always are. watched is how many sandboxes are traced with it.
func (r *Ring) Trace(cgroup uint64, on bool, watched int) error {
	var err error
	if on {
		err = r.traced.Put(cgroup, uint32(1))
	} else {
		err = remove(r.traced, cgroup)
	}
	return errors.Join(err, r.counters.Put(countTraced, uint64(watched))) //nolint:gosec // a count
}
