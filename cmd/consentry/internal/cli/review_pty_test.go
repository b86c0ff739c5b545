//go:build linux

package cli

import (
	"testing"
	"time"
)

func TestAManifestOnTheTerminal(t *testing.T) {
	t.Parallel()
	home, _ := fakeHome(t)
	s := onTerminal(t, home, nil, "run", "manifest")
	s.sees("2. know your identity: email")
	s.keys("1\r") // too early
	s.sees("Your answer, 1 to 5")
	s.keys("2\r") // line by line
	s.sees("Line 1 of 2")
	s.sees("Your answer, 1 to 3")
	s.keys("\r") // no default
	s.keys("1\r")
	s.sees("Line 2 of 2")
	time.Sleep(deadTime + 300*time.Millisecond)
	s.keys("2\r")
	s.sees("→ 1 line allowed, 1 line denied")
	s.sees(`"verdict":"ask","lines":{"1":"allow","2":"deny"},"by":"terminal"`)
	if code := s.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestCtrlCBeforeTheAppStarts(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"run"}, {"run", "-it"}} {
		home, a := fakeHome(t)
		s := onTerminal(t, home, nil, append(flags, "manifest")...)
		before := s.settings()
		s.sees("Your answer, 1 to 5")
		s.keys("\x03")
		if code := s.ends(); code != exitInterrupted {
			t.Errorf("%v: exit code %d", flags, code)
		}
		if !a.WaitsForReview() {
			t.Errorf("%v: something was answered", flags)
		}
		if flags[len(flags)-1] == "run" && s.settings() != before {
			t.Error("the terminal is not as it was")
		}
	}
}
