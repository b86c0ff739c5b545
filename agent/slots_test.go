package agent

import "testing"

func TestSlotsOfReadySandboxes(t *testing.T) {
	a := &Agent{runs: map[string]*run{}, lent: map[uint32]bool{}}
	take := func(name string, ready ...uint32) uint32 {
		t.Helper()
		slot, err := a.freeSlot(ready)
		if err != nil {
			t.Fatal(err)
		}
		a.runs[name] = &run{rec: record{Slot: slot}}
		return slot
	}
	ids := lender{a}
	if slot := take("first"); slot != 0 {
		t.Errorf("the first run has slot %d", slot)
	}
	one, err := ids.Lend()
	if err != nil || slotOf(one) != 1 {
		t.Errorf("lent %d, %v", slotOf(one), err)
	}
	if slot := take("passes by"); slot != 2 {
		t.Errorf("a run has slot %d, which waits for another", slot)
	}
	if slot := take("takes it", 1); slot != 1 {
		t.Errorf("a run has slot %d, one waits for 1", slot)
	}
	if slot := take("comes late", 1); slot != 3 {
		t.Errorf("two runs have what waits once: slot %d", slot)
	}
	ids.Return(one)
	if slot := take("stale", 1); slot != 4 {
		t.Errorf("slot %d is that of a run", slot)
	}
	delete(a.runs, "takes it")
	if slot := take("again", 1); slot != 1 {
		t.Errorf("slot %d, 1 is free", slot)
	}
}
