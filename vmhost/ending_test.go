package vmhost

import (
	"context"
	"errors"
	"testing"
)

func TestEnding(t *testing.T) {
	fault := errors.New("it fell over")
	for name, c := range map[string]struct {
		doom      bool
		why, want error
	}{
		"by itself": {},
		"a fault":   {why: fault, want: fault},
		"killed":    {doom: true, why: fault},
	} {
		e := NewEnding()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Wait(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: while it runs: %v", name, err)
		}
		if c.doom {
			e.Doom()
		}
		e.Over(c.why)
		<-e.Gone()
		if err := e.Wait(t.Context()); !errors.Is(err, c.want) || e.Doomed() != c.doom {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
