package consent

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	queueLength = 1024
	maxBatch    = 1024
	groupWait   = 50 * time.Millisecond // for lines nobody waits for
	retryWait   = time.Second           // while the disk does not take them
	maxUnsaved  = 16 * 1024             // such lines kept while the disk is full
)

// op is one change of the store. All that is in it is on disk or none of it.
type op struct {
	lines []Line
	rules *ruleChange
	put   *storedPrompt // into the inbox
	drop  []string      // from the inbox
	uses  []usage
	done  chan<- error // nil: nobody waits for it
}

// ruleChange replaces rules; all is the whole set afterwards.
type ruleChange struct {
	remove []string
	add    []Rule
	all    []Rule
	high   int64
}

// usage is the latest count of a rule.
type usage struct {
	rule string
	used int64
	uses int64
}

// storedPrompt is a request of the inbox as it lies on disk.
type storedPrompt struct {
	id   string
	body promptBody
}

type promptBody struct {
	Asked   time.Time `json:"asked"`
	Count   int       `json:"count"`
	Request Request   `json:"request"`
	Also    []string  `json:"also,omitempty"` // more targets of the same kind
}

var errClosed = errors.New("the consent store is closed")

// commit puts the op on disk before it returns nil.
func (s *store) commit(o op) error {
	done := make(chan error, 1)
	o.done = done
	if err := s.hand(o); err != nil {
		return err
	}
	return <-done
}

// flush waits until what was queued has been tried.
func (s *store) flush() { _ = s.commit(op{}) } // an error is that of another op, or of the end

func (o op) empty() bool {
	return len(o.lines) == 0 && o.rules == nil && o.put == nil && len(o.drop) == 0 && len(o.uses) == 0
}

// queue has the op put on disk within 100 ms. It waits only while the queue is full.
func (s *store) queue(o op) {
	if err := s.hand(o); err != nil {
		s.log.Warn("consent: a ledger line came after the end", "err", err)
	}
}

func (s *store) hand(o op) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	s.ops <- o
	return nil
}

// close writes what is queued and closes the file.
func (s *store) close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	if !already {
		close(s.ops)
	}
	s.mu.Unlock()
	<-s.done
	if already {
		return nil
	}
	return s.db.Close()
}

// write is the writer: it takes ops together that come together.
func (s *store) write() {
	defer close(s.done)
	var unsaved []op
	for more := true; more; {
		var batch []op
		batch, more = s.gather(len(unsaved) > 0 || s.trouble.Load() != nil)
		unsaved = s.save(append(unsaved, batch...))
		if err := s.rotate(); err != nil {
			s.log.Error("consent: old ledger lines cannot be put away", "err", err)
		}
	}
	if len(unsaved) > 0 {
		s.log.Error("consent: ledger lines lost at the end", "lines", len(unsaved))
	}
}

// gather waits for an op, and then for the ones right behind it: until one of
// them is waited for, or groupWait is over. With retry it comes back after
// retryWait also without one.
func (s *store) gather(retry bool) (batch []op, more bool) {
	var timeout <-chan time.Time
	if retry {
		timeout = time.After(retryWait)
	}
	for urgent := false; len(batch) < maxBatch; {
		if urgent { // take what is there, wait for nothing
			select {
			case o, ok := <-s.ops:
				if !ok {
					return batch, false
				}
				batch = append(batch, o)
				continue
			default:
				return batch, true
			}
		}
		select {
		case o, ok := <-s.ops:
			if !ok {
				return batch, false
			}
			batch = append(batch, o)
			urgent = o.done != nil
			if timeout == nil {
				timeout = time.After(groupWait)
			}
		case <-timeout:
			return batch, true
		}
	}
	return batch, true
}

// save puts the batch on disk, in one transaction if that works, one by one if
// not, and with the reserve if need be. It returns the ops that nobody waits
// for and that must be tried again.
func (s *store) save(batch []op) (unsaved []op) {
	s.refill()
	if s.trouble.Load() == nil && !slices.ContainsFunc(batch, func(o op) bool { return !o.empty() }) {
		tell(batch, nil)
		return nil
	}
	if !s.low {
		if err := s.apply(batch); err == nil { // also with nothing to save: it shows that saving works
			s.calm()
			tell(batch, nil)
			return nil
		}
	}
	for _, o := range batch {
		err := s.saveOne(o)
		switch {
		case o.done != nil:
			o.done <- err
		case err == nil:
		case len(unsaved) < maxUnsaved:
			unsaved = append(unsaved, o)
		default:
			s.log.Error("consent: a ledger line is lost", "err", err)
		}
	}
	return unsaved
}

var errLow = errors.New("the disk is full")

// saveOne leaves the reserve to the ops somebody waits for: answers and what is
// taken back.
func (s *store) saveOne(o op) error {
	if s.low && o.done == nil {
		return errLow
	}
	err := s.apply([]op{o})
	if err != nil && s.spendReserve(err) && o.done != nil {
		err = s.apply([]op{o})
	}
	if err != nil {
		s.worry(err)
	} else if !s.low {
		s.calm()
	}
	return err
}

func (s *store) calm() {
	if s.trouble.Swap(nil) != nil {
		s.log.Info("consent: the store can be written again")
	}
}

// worry has Health deny everything until a write works again.
func (s *store) worry(err error) {
	err = fmt.Errorf("the consent store cannot be written, so nothing is allowed: %w", err)
	s.trouble.Store(&err)
}

func tell(batch []op, err error) {
	for _, o := range batch {
		if o.done != nil {
			o.done <- err
		}
	}
}
