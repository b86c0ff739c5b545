package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/consentry/consentry/bench/rounds"
)

// ours is the contender that the others are compared with.
const ours = "consentry"

// table holds each contender's figures, one a round.
type table struct {
	names []string
	rows  map[string][]figures
}

func newTable(list []contender) *table {
	t := &table{rows: map[string][]figures{}}
	for _, c := range list {
		t.names = append(t.names, c.name)
	}
	return t
}

func (t *table) add(name string, f figures) { t.rows[name] = append(t.rows[name], f) }

// print writes medians, and how many times as long as ours each took.
func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ts\t× ours\t+ sync, s\t× ours\tRSS, MiB\t")
	took := func(f figures) time.Duration { return f.took }
	synced := func(f figures) time.Duration { return f.synced }
	for _, name := range t.names {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t\n", name,
			t.median(name, took), t.ratio(name, took), t.median(name, synced), t.ratio(name, synced), t.memory(name))
	}
	return w.Flush()
}

func (t *table) median(name string, of func(figures) time.Duration) float64 {
	var all []float64
	for _, f := range t.rows[name] {
		all = append(all, of(f).Seconds())
	}
	return rounds.Median(all)
}

func (t *table) ratio(name string, of func(figures) time.Duration) float64 {
	var all []float64
	for i, f := range t.rows[name] {
		all = append(all, of(f).Seconds()/of(t.rows[ours][i]).Seconds())
	}
	return rounds.Median(all)
}

// memory is the most of all rounds, MiB.
func (t *table) memory(name string) float64 {
	var most int64
	for _, f := range t.rows[name] {
		most = max(most, f.rss)
	}
	return float64(most) / 1024
}
