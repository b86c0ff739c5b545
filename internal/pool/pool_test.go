package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// thing is numbered in the order they were made.
type thing struct {
	number      int
	dead, ended bool
}

// shop makes things and keeps account of them; its pool holds two.
type shop struct {
	pool  Pool[*thing]
	made  []*thing
	fault error
	takes time.Duration // to make one
}

func newShop() *shop {
	s := &shop{}
	s.pool = Pool[*thing]{
		Size: 2,
		Make: func(ctx context.Context) (*thing, error) {
			select {
			case <-time.After(s.takes):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if s.fault != nil {
				return nil, s.fault
			}
			s.made = append(s.made, &thing{number: len(s.made)})
			return s.made[len(s.made)-1], nil
		},
		Dead: func(t *thing) bool { return t.dead },
		End:  func(t *thing) { t.ended = true },
	}
	return s
}

func anyOne(*thing) bool { return true }

// settle lets the pool do what it does in the background.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func (s *shop) full(t *testing.T) {
	t.Helper()
	s.pool.Refill()
	settle()
	if n := len(s.pool.Waiting()); n != 2 {
		t.Fatalf("%d wait", n)
	}
}

func TestNothingBeforeTheFirstRefill(t *testing.T) {
	s := newShop()
	if one, ok := s.pool.Take(anyOne); ok || one != nil || len(s.made) > 0 {
		t.Errorf("took %v, %d were made", one, len(s.made))
	}
}

func TestEachIsGivenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.full(t)
		first, _ := s.pool.Take(anyOne)
		second, _ := s.pool.Take(anyOne)
		if first.number != 0 || second.number != 1 {
			t.Errorf("took %v, then %v", first, second)
		}
		if third, ok := s.pool.Take(anyOne); ok {
			t.Errorf("then %v", third)
		}
		s.full(t)
		if slices.Contains(s.pool.Waiting(), first) || slices.Contains(s.pool.Waiting(), second) {
			t.Error("one that was given waits again")
		}
		s.pool.Close()
		if first.ended || second.ended || !s.made[2].ended || !s.made[3].ended {
			t.Errorf("ended: %v %v %v %v, want those that waited", first.ended, second.ended, s.made[2].ended, s.made[3].ended)
		}
	})
}

func TestTakeLeavesWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.full(t)
		defer s.pool.Close()
		one, ok := s.pool.Take(func(t *thing) bool { return t.number == 1 })
		if !ok || one.number != 1 || len(s.pool.Waiting()) != 1 {
			t.Errorf("took %v, %d wait", one, len(s.pool.Waiting()))
		}
	})
}

func TestDeadIsNotGivenAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.full(t)
		defer s.pool.Close()
		s.made[0].dead = true
		if waiting := s.pool.Waiting(); len(waiting) != 1 || waiting[0] != s.made[1] {
			t.Errorf("%d wait", len(waiting))
		}
		if one, _ := s.pool.Take(anyOne); one != s.made[1] {
			t.Errorf("took %v", one)
		}
		if !s.made[0].ended {
			t.Error("the dead one was not cleared away")
		}
		s.full(t)
	})
}

func TestFaultEndsTheFilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		defer s.pool.Close()
		s.fault = errors.New("no")
		s.pool.Refill()
		settle()
		s.fault = nil
		settle()
		if len(s.made) > 0 {
			t.Error("it tried again unasked")
		}
		s.full(t)
	})
}

func TestAllEndWhenNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.full(t)
		defer s.pool.Close()
		time.Sleep(idleTime - 2*time.Second)
		s.pool.Refill() // somebody did
		time.Sleep(idleTime - 2*time.Second)
		if len(s.pool.Waiting()) != 2 {
			t.Error("they ended too early")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(s.pool.Waiting()) != 0 || !s.made[0].ended || !s.made[1].ended {
			t.Error("they wait on")
		}
	})
}

// TestSlowMakeHoldsNobodyUp: who takes, looks or asks does not wait for one that
// is being made; the end does, so that nothing is left.
func TestSlowMakeHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.full(t)
		s.takes = 10 * time.Second
		s.pool.Take(anyOne)
		s.pool.Refill()
		time.Sleep(time.Second) // it is being made
		began := time.Now()
		s.pool.Refill()
		if _, ok := s.pool.Take(anyOne); !ok || len(s.pool.Waiting()) != 0 || time.Since(began) != 0 {
			t.Errorf("took %v after %v", ok, time.Since(began))
		}
		s.pool.Close()
		if len(s.made) != 3 || !s.made[2].ended {
			t.Errorf("%d were made", len(s.made))
		}
		s.pool.Refill()
		settle()
		if len(s.made) != 3 {
			t.Error("it filled itself after its end")
		}
	})
}
