package main

import (
	"strings"
	"testing"
)

func TestRatiosArePairedByRound(t *testing.T) {
	r := &row{name: "up", unit: "Gb/s", higher: true, rounds: []map[string]float64{
		{ours: 10, "pasta": 5}, {ours: 1, "pasta": 1}, {ours: 30, "pasta": 10},
	}}
	if got := r.ratio("pasta"); got != 2 {
		t.Errorf("ratio %v, want the median of 2, 1 and 3", got)
	}
	r.higher = false
	if got := r.ratio("pasta"); got != 0.5 {
		t.Errorf("ratio %v of a figure that should be low, want 0.5", got)
	}
	var out strings.Builder
	print(&out, []*row{r}, []string{ours, "pasta", "absent"})
	if want := "5 (0.50×)"; !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "–") {
		t.Errorf("table lacks %q or the mark of a missing peer:\n%s", want, out.String())
	}
}
