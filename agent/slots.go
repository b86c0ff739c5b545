package agent

import (
	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// lender lends the image host blocks of ids for sandboxes that wait.
type lender struct{ a *Agent }

// Lend takes the lowest block that nobody has.
func (l lender) Lend() (uint32, error) {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	slot, err := l.a.freeSlot(nil)
	if err == nil {
		l.a.lent[slot] = true
	}
	return idBase(slot), err
}

// Return gives a block back, or over to the run that has it by now.
func (l lender) Return(base uint32) {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	delete(l.a.lent, slotOf(base))
}

func slotOf(base uint32) uint32 { return (base - firstID) / idsOfApp }

// readySlots are those for which a sandbox waits.
func (a *Agent) readySlots() []uint32 {
	preparer, can := a.cfg.Image.(sandbox.Preparer)
	if !can {
		return nil
	}
	var ready []uint32
	for _, base := range preparer.Ready() {
		ready = append(ready, slotOf(base))
	}
	return ready
}

// freeSlot returns one of ready that no run has, or else the lowest that neither
// a run nor the host has. The caller holds the lock.
func (a *Agent) freeSlot(ready []uint32) (uint32, error) {
	used := map[uint32]bool{}
	for _, r := range a.runs {
		used[r.rec.Slot] = true
	}
	for _, slot := range ready {
		if !used[slot] && a.lent[slot] {
			return slot, nil
		}
	}
	var slot uint32
	for used[slot] || a.lent[slot] {
		slot++
	}
	if slot >= slots {
		return 0, &api.Error{
			Code: "too-many", Message: "there are too many runs already", Status: statusConflict,
			Hint: "remove some with: consentry rm NAME",
		}
	}
	return slot, nil
}
