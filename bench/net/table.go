package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// ours is the peer that the others are compared with.
const ours = "router"

// row is one measured thing: for each peer a figure per round.
type row struct {
	name   string
	unit   string
	higher bool // is better
	rounds []map[string]float64
}

// median of the figures of one peer.
func (r *row) median(peer string) float64 {
	var all []float64
	for _, round := range r.rounds {
		if v, ok := round[peer]; ok {
			all = append(all, v)
		}
	}
	return median(all)
}

// ratio is the median over the rounds of how often better the router is.
func (r *row) ratio(peer string) float64 {
	var all []float64
	for _, round := range r.rounds {
		us, them := round[ours], round[peer]
		switch {
		case us == 0 || them == 0:
		case r.higher:
			all = append(all, us/them)
		default:
			all = append(all, them/us)
		}
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	mid := len(all) / 2
	if len(all)%2 == 1 {
		return all[mid]
	}
	return (all[mid-1] + all[mid]) / 2
}

// print writes medians, and in brackets how many times the router is as good.
func print(out io.Writer, rows []*row, peers []string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\t")
	for _, peer := range peers {
		fmt.Fprintf(w, "%s\t", peer)
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		fmt.Fprintf(w, "%s, %s\t", r.name, r.unit)
		for _, peer := range peers {
			fmt.Fprintf(w, "%s\t", cell(r, peer))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

func cell(r *row, peer string) string {
	v := r.median(peer)
	switch {
	case v == 0:
		return "–"
	case peer == ours:
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.4g (%.2f×)", v, r.ratio(peer))
}
