package consent

import (
	"sync/atomic"
	"testing"
	"time"
)

// slowDisk holds the store up at its next write, once it is told to.
type slowDisk struct {
	armed   atomic.Bool
	reached chan struct{}
	goOn    chan struct{}
}

func newSlowDisk() *slowDisk {
	return &slowDisk{reached: make(chan struct{}), goOn: make(chan struct{})}
}

func (d *slowDisk) step(name string) {
	if name == "saving" && d.armed.CompareAndSwap(true, false) {
		close(d.reached)
		<-d.goOn
	}
}

// An answer is being saved: who waits for it takes it, also when its time is
// over meanwhile, and who asks the same just now waits for it as well.
func TestAnAnswerThatIsBeingSavedDecides(t *testing.T) {
	for _, c := range []struct {
		verdict  Verdict
		lifetime Lifetime
		later    Source // of who asks meanwhile
	}{
		{Allow, Always, FromRule}, {Deny, Always, FromRule}, {Deny, Once, FromAnswer},
	} {
		t.Run(c.verdict.String()+" "+string(c.lifetime), func(t *testing.T) {
			disk := newSlowDisk()
			e := openWith(t, Config{Dir: t.TempDir(), step: disk.step})
			decide := func(hold time.Duration) <-chan Decision {
				out := make(chan Decision, 1)
				go func() { out <- e.Decide(t.Context(), asking(target), Ask{Hold: hold}) }()
				return out
			}
			const short = time.Second
			first := decide(short)
			p := pendingPrompt(t, e, target)
			disk.armed.Store(true)
			saved := make(chan error, 1)
			go func() { saved <- e.Answer(t.Context(), answer(p, c.verdict, c.lifetime)) }()
			<-disk.reached
			second := decide(time.Minute)
			select {
			case d := <-first:
				t.Fatalf("decided before the answer was on disk: %+v", d)
			case d := <-second:
				t.Fatalf("decided before the answer was on disk: %+v", d)
			case err := <-saved:
				t.Fatalf("confirmed before it was on disk: %v", err)
			case <-time.After(short + 200*time.Millisecond):
			}
			close(disk.goOn)
			if err := <-saved; err != nil {
				t.Fatal(err)
			}
			if d := <-first; d.Verdict != c.verdict || d.Source != FromAnswer {
				t.Errorf("who waited: %+v", d)
			}
			if d := <-second; d.Verdict != c.verdict || d.Source != c.later {
				t.Errorf("who asked meanwhile: %+v", d)
			}
			if left := e.Pending(); len(left) != 0 {
				t.Errorf("asked again: %+v", left)
			}
		})
	}
}

// A late yes is taken back between the look at it and its use.
func TestALateYesTakenBackInTheLastMomentIsNone(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if d := e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond}); d.Source != FromHold {
		t.Fatalf("%+v", d)
	}
	if err := e.Answer(t.Context(), answer(pendingPrompt(t, e, target), Allow, Once)); err != nil {
		t.Fatal(err)
	}
	e.ruleMu.Lock()
	out := make(chan Decision, 1)
	go func() { out <- e.Decide(t.Context(), asking(target), Ask{NoInput: true}) }()
	looked := false
	for end := time.Now().Add(10 * time.Second); !looked && time.Now().Before(end); time.Sleep(time.Millisecond) {
		e.mu.Lock()
		looked = len(e.credits) == 0
		e.mu.Unlock()
	}
	err := e.change(func(r Rule) bool { return r.Lifetime == Once }, nil, nil)
	e.ruleMu.Unlock()
	if err != nil || !looked {
		t.Fatalf("%v, or nobody looked", err)
	}
	if d := <-out; d.Verdict != Deny || d.Source != FromNoInput {
		t.Errorf("%+v", d)
	}
}
