package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// kernelRefusals count what the kernel refused one run, by call and object.
type kernelRefusals struct {
	counts map[string]uint64
	total  uint64
}

const (
	// maxRefusals bounds the groups that are kept: names are the app's.
	maxRefusals = 256
	// toldRefusals is how many of them the ledger's line names.
	toldRefusals = 8
)

func (r *kernelRefusals) see(e sandbox.TraceEvent) error {
	if !e.Denied {
		return nil
	}
	r.total++
	group := strings.TrimSpace(e.Call + " " + e.Detail)
	if _, known := r.counts[group]; known || len(r.counts) < maxRefusals {
		r.counts[group]++
	}
	return nil
}

// String is what the ledger keeps, the most frequent first; "" for nothing.
func (r *kernelRefusals) String() string {
	if r.total == 0 {
		return ""
	}
	groups := slices.SortedFunc(maps.Keys(r.counts), func(x, y string) int {
		return cmp.Or(cmp.Compare(r.counts[y], r.counts[x]), cmp.Compare(x, y))
	})
	var parts []string
	told := uint64(0)
	for _, group := range groups[:min(len(groups), toldRefusals)] {
		parts = append(parts, fmt.Sprintf("%d × %s", r.counts[group], group))
		told += r.counts[group]
	}
	if told < r.total {
		parts = append(parts, fmt.Sprintf("%d others", r.total-told))
	}
	return strings.Join(parts, ", ")
}

// sumRefusals writes into the ledger, when the app has ended, what the kernel
// refused it.
func (l *live) sumRefusals() {
	tracer, can := l.instance.(sandbox.RefusalTracer)
	if !can {
		return
	}
	l.agent.work.Go(func() {
		r := kernelRefusals{counts: map[string]uint64{}}
		err := tracer.Refusals(context.Background(), r.see)
		if text := r.String(); text != "" {
			err = l.agent.engine.Note(consent.Event{Event: "refused", App: l.rec.App, Run: l.rec.ID, Detail: text})
		}
		if err != nil {
			l.agent.cfg.Log.Warn("refusals of a run", "run", l.rec.ID, "error", err)
		}
	})
}
