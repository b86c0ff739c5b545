package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// maxLeases bounds the answers of one run that may be kept; the oldest lease
// ends for a new one.
const maxLeases = 4096

// leases are the answers that one run was given and the yes that each rests on.
//
//	added ── its yes is gone, or says something else ──▶ ended ── told by wait
type leases struct {
	engine *consent.Engine

	mu      sync.Mutex
	last    uint64
	live    map[uint64]*dataLease
	ended   []uint64
	told    chan struct{} // holds one when there is something in ended
	answers map[string]*sandbox.GivenData
}

// dataLease is one answer.
type dataLease struct {
	yes    grantedTarget
	fields []string // given
	covers map[string]cover
}

func newLeases(engine *consent.Engine) *leases {
	return &leases{engine: engine, live: map[uint64]*dataLease{}, told: make(chan struct{}, 1), answers: map[string]*sandbox.GivenData{}}
}

// add notes what was given, and makes a lease for what is to be kept; it is 0 for
// anything else. stands is false when the yes is gone already.
func (s *leases) add(req sandbox.DataRequest, l *dataLease) (id uint64, stands bool) {
	if !l.stands(s.engine) {
		return 0, false
	}
	s.mu.Lock()
	s.note(req, l)
	if !req.Retain {
		s.mu.Unlock()
		return 0, true
	}
	s.last++
	id = s.last
	s.live[id] = l
	if len(s.live) > maxLeases {
		s.end(slices.Min(slices.Collect(maps.Keys(s.live))))
	}
	s.mu.Unlock()
	s.recheckOne(id, l) // taken back between the look and the list
	return id, true
}

// note adds to what the app may know that it has. mu is held.
func (s *leases) note(req sandbox.DataRequest, l *dataLease) {
	rule := l.yes.decision.Rule
	if rule == "" {
		return
	}
	known := s.answers[rule]
	if known == nil {
		if len(s.answers) >= maxLeases {
			return
		}
		known = &sandbox.GivenData{Grant: rule, Kind: req.Kind}
		s.answers[rule] = known
	}
	for _, field := range l.fields {
		if !slices.Contains(known.Fields, field) {
			known.Fields = append(known.Fields, field)
			slices.Sort(known.Fields)
		}
	}
}

// stands says whether every part of the yes is as it was: there, and shaped in
// the same way.
func (l *dataLease) stands(engine *consent.Engine) bool {
	for target, c := range l.covers {
		one := l.yes.request
		one.Target = target
		d, found := engine.Lookup(one)
		switch {
		case found && (d.Verdict != consent.Allow || d.Shape != c.shape):
			return false
		case !found && c.byRule:
			return false
		}
	}
	return true
}

// recheck ends the leases whose yes is gone.
func (s *leases) recheck() {
	s.mu.Lock()
	live := maps.Clone(s.live)
	s.mu.Unlock()
	for id, l := range live {
		s.recheckOne(id, l)
	}
	s.forgetGrants()
}

func (s *leases) recheckOne(id uint64, l *dataLease) {
	if l.stands(s.engine) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(id)
}

// forgetGrants takes out of the list what has been taken back.
func (s *leases) forgetGrants() {
	s.mu.Lock()
	rules := slices.Collect(maps.Keys(s.answers))
	s.mu.Unlock()
	if len(rules) == 0 {
		return
	}
	there := map[string]bool{}
	for _, r := range s.engine.Rules("") {
		there[r.ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range rules {
		if !there[id] {
			delete(s.answers, id)
		}
	}
}

// endAll ends every lease: what they are about has changed, or the run is over.
func (s *leases) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.live {
		s.end(id)
	}
}

// end: mu is held.
func (s *leases) end(id uint64) {
	if s.live[id] == nil {
		return
	}
	delete(s.live, id)
	s.ended = append(s.ended, id)
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// wait returns the leases that have ended since it was called before.
func (s *leases) wait(ctx context.Context) ([]uint64, error) {
	for {
		s.mu.Lock()
		ended := s.ended
		s.ended = nil
		s.mu.Unlock()
		if len(ended) > 0 {
			return ended, nil
		}
		select {
		case <-s.told:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *leases) find(id uint64) *dataLease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[id]
}

func (s *leases) has(grant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[grant] != nil
}

// given lists the grants by which something was given, by their ids.
func (s *leases) given() []sandbox.GivenData {
	s.forgetGrants()
	ends := map[string]consent.Rule{}
	for _, r := range s.engine.Rules("") {
		ends[r.ID] = r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []sandbox.GivenData
	for _, id := range slices.Sorted(maps.Keys(s.answers)) {
		g := *s.answers[id]
		g.Fields, g.Expires = slices.Clone(g.Fields), ends[id].Expires
		list = append(list, g)
	}
	return list
}

// giveBackError is what the app is told.
func giveBackError(err error) error {
	switch {
	case errors.Is(err, consent.ErrNoSuchRule):
		return fmt.Errorf("%w: no such grant", sandbox.ErrNothing)
	case errors.Is(err, consent.ErrWider):
		return fmt.Errorf("%w: only the user can end this grant", sandbox.ErrInvalid)
	}
	return err
}
