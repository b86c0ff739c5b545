// Package rounds sums up figures of contenders that take turns: a ratio is made
// of two figures of the same round, so that a machine that slows down slows both.
package rounds

import "slices"

// Rounds holds each contender's figures, one a round.
type Rounds map[string][]float64

// Add notes the next figure of a contender.
func (r Rounds) Add(name string, figure float64) { r[name] = append(r[name], figure) }

// Median of a contender's figures; 0 when there are none.
func (r Rounds) Median(name string) float64 { return Median(r[name]) }

// Least of a contender's figures; 0 when there are none.
func (r Rounds) Least(name string) float64 {
	if len(r[name]) == 0 {
		return 0
	}
	return slices.Min(r[name])
}

// Ratio is the median over the rounds of a's figure divided by b's.
func (r Rounds) Ratio(a, b string) float64 {
	var all []float64
	for i := range min(len(r[a]), len(r[b])) {
		all = append(all, r[a][i]/r[b][i])
	}
	return Median(all)
}

// Median of values; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
