package main

import (
	"testing"
	"time"
)

func TestUnusedTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "never": -1, "90d": 2160 * time.Hour, "1d": 24 * time.Hour, "36h": 36 * time.Hour} {
		if got, err := unusedTime(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"0d", "-1d", "d", "90", "0", "-1h", "9999999999d", "for ever", "1.5d", " 90d"} {
		if got, err := unusedTime(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
