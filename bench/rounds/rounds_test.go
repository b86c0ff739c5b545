package rounds

import "testing"

func TestRounds(t *testing.T) {
	r := Rounds{}
	for _, figures := range [][2]float64{{2, 1}, {30, 10}, {8, 2}} {
		r.Add("a", figures[0])
		r.Add("b", figures[1])
	}
	// The ratio of the medians would be 4.
	if m, l, q := r.Median("a"), r.Least("a"), r.Ratio("a", "b"); m != 8 || l != 2 || q != 3 {
		t.Errorf("median %v, least %v, ratio %v", m, l, q)
	}
	if m := Median([]float64{4, 1}); m != 2.5 {
		t.Errorf("median of two: %v", m)
	}
	if r.Median("none") != 0 || r.Ratio("a", "none") != 0 || r.Least("none") != 0 {
		t.Error("nothing measured is something")
	}
}
