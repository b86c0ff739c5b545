package agent

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// getStats answers for one run, or for all that run.
func (a *Agent) getStats(w http.ResponseWriter, r *http.Request) error {
	runs := a.list()
	if ref := r.URL.Query().Get("run"); ref != "" {
		one, err := a.find(ref)
		if err != nil {
			return err
		}
		if rec, l := one.snapshot(); l == nil {
			return notRunning(rec.Name)
		}
		runs = []*run{one}
	}
	list := []api.RunStats{}
	for _, one := range runs {
		if rec, l := one.snapshot(); l != nil {
			list = append(list, l.stats(r.Context(), rec))
		}
	}
	slices.SortFunc(list, func(x, y api.RunStats) int { return cmp.Compare(x.Name, y.Name) })
	return ok(w, list)
}

// stats leaves out what cannot be told: the app may end meanwhile.
func (l *live) stats(ctx context.Context, rec record) api.RunStats {
	out := api.RunStats{ID: rec.ID, Name: rec.Name}
	if statser, can := l.instance.(sandbox.Statser); can {
		if s, err := statser.Stats(ctx); err == nil {
			out.Stats = &s
		}
	}
	if l.worker != nil {
		if n, err := l.network(ctx); err == nil {
			out.Network = &n
		}
	}
	return out
}
