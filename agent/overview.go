package agent

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

// overviewLines is how many of an app's newest ledger lines are looked at.
const overviewLines = 5_000

// getOverview sums up one app: what it was given, what it was refused, what it
// waits for.
func (a *Agent) getOverview(w http.ResponseWriter, r *http.Request) error {
	which, _, err := a.appByName(r.URL.Query().Get("app"))
	if err != nil {
		return err
	}
	o := api.AppOverview{
		App: consent.CleanName(which.Name), AppID: string(which.ID()), Publisher: which.Publisher,
		Grants: []api.Grant{}, Waiting: []api.Prompt{},
	}
	for _, rule := range a.engine.Rules(which.ID()) {
		o.Grants = append(o.Grants, ruleToAPI(rule))
		o.Muted = o.Muted || rule.Kind == consent.AnyKind
	}
	for _, p := range a.engine.Pending() {
		if p.Request.App.ID() == which.ID() {
			o.Waiting = append(o.Waiting, a.promptToAPI(p))
		}
	}
	if rec, known := a.reviews.records.Load(which.ID()); known {
		o.Reviewed, o.Lines, o.Digest = rec.Reviewed, len(rec.Lines), rec.Digest
	}
	a.addRuns(&o, which.ID())
	lines, err := a.engine.Log(r.Context(), consent.Query{App: string(which.ID()), Limit: overviewLines})
	if err != nil {
		return err
	}
	o.Refused = refusals(lines)
	return ok(w, o)
}

func (a *Agent) addRuns(o *api.AppOverview, id app.ID) {
	for _, r := range a.list() {
		rec, l := r.snapshot()
		if rec.App.ID() != id {
			continue
		}
		o.Digest = rec.App.Digest
		if l != nil {
			o.Running = append(o.Running, rec.Name)
		}
	}
	slices.Sort(o.Running)
}

// refusals are the noes among lines of the ledger, the latest first.
func refusals(lines []consent.Line) []api.Refusal {
	byTarget := map[[2]string]*api.Refusal{}
	for _, l := range lines {
		if !refused(l) {
			continue
		}
		key := [2]string{l.Kind, l.Target}
		if byTarget[key] == nil {
			byTarget[key] = &api.Refusal{Kind: l.Kind, Target: l.Target}
		}
		found := byTarget[key]
		found.Count++
		found.Last, found.Source = l.Time, cmp.Or(l.Source, l.Event)
	}
	list := []api.Refusal{}
	for _, found := range byTarget {
		list = append(list, *found)
	}
	slices.SortFunc(list, func(x, y api.Refusal) int {
		return cmp.Or(y.Last.Compare(x.Last), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Target, y.Target))
	})
	return list
}

// refused: a question answered with no, one that nobody answered, or a request
// denied without one. A rule that denies (it has no run and no request) is not
// a refusal yet.
func refused(l consent.Line) bool {
	switch l.Event {
	case "hold":
		return true
	case "answer":
		return l.Verdict == consent.Deny.String()
	case "deny":
		return l.Run != "" && l.By == ""
	}
	return false
}
