package agent

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// A wall that the user does without for an app is a rule of kind wall.waive, so
// that it lies under the store's MAC: what was edited, or cannot be read, waives
// nothing.

// waiverRules are those of an app, or of all; one that a no beats is none.
func (a *Agent) waiverRules(id app.ID) []consent.Rule {
	return slices.DeleteFunc(a.engine.Rules(id), func(r consent.Rule) bool {
		return r.Kind != consent.WallWaive || r.Verdict != consent.Allow || r.Lifetime != consent.Always ||
			sandbox.CheckWaived([]string{r.Target}) != nil
	})
}

// waived are the walls that an app runs without by what was said before, and the
// rules that say so.
func (a *Agent) waived(of app.App) (walls []string, by []consent.Rule) {
	for _, r := range a.waiverRules(of.ID()) {
		req := consent.Request{App: of, Kind: consent.WallWaive, Target: r.Target}
		if d, found := a.engine.Lookup(req); found && d.Verdict == consent.Allow {
			walls, by = append(walls, r.Target), append(by, r)
		}
	}
	return walls, by
}

// waive adds what the user waived for the app, now or before, to its spec, and
// says which wall is missing all the same: before the app is asked about, so
// that nothing is answered for an app that cannot start.
func (a *Agent) waive(ctx context.Context, rec *record) error {
	said := rec.Request.Waive
	rec.Spec.Waived = nil
	if rec.Spec.Image == nil || rec.inVM() {
		return nil
	}
	if err := sandbox.CheckWaived(said); err != nil {
		return invalid("%v", err)
	}
	before, by := a.waived(rec.App)
	for _, r := range by {
		a.engine.Used(consent.Use{App: rec.App, Run: rec.ID, Kind: r.Kind, Target: r.Target, Rule: r.ID})
	}
	all := append(slices.Clone(before), said...)
	slices.Sort(all)
	rec.Spec.Waived = slices.Compact(all)
	if missing := a.missing(ctx, rec.Spec.Waived); len(missing) > 0 {
		return wallError(missing)
	}
	var rules []consent.Rule
	for _, wall := range slices.Compact(slices.Sorted(slices.Values(said))) {
		if slices.Contains(before, wall) {
			continue // said again; the start says it in the ledger
		}
		rules = append(rules, consent.Rule{
			App: rec.App.ID(), AppName: rec.App.Name, Kind: consent.WallWaive, Target: wall,
			Verdict: consent.Allow, Lifetime: consent.Always, By: "cli",
		})
	}
	_, err := a.engine.Give(ctx, rules)
	return err
}

// missing are the walls that can be waived, were not, and cannot stand here.
func (a *Agent) missing(ctx context.Context, waived []string) []sandbox.Wall {
	s, ok := a.cfg.Image.(sandbox.Surveyor)
	if !ok {
		return nil
	}
	p := sandbox.Posture{Walls: s.Survey(ctx)}
	p.Waive(waived)
	return slices.DeleteFunc(p.Walls, func(w sandbox.Wall) bool {
		return !w.Required || w.Stands || w.Waived || w.Waiver == ""
	})
}

func wallError(missing []sandbox.Wall) error {
	err := &api.Error{Code: api.CodeWall, Status: statusConflict}
	var texts, flags []string
	for _, w := range missing {
		texts = append(texts, w.Name+": "+w.Detail)
		flags = append(flags, "--waive "+w.Waiver)
		err.Waive = append(err.Waive, w.Waiver)
	}
	err.Message = "this machine cannot raise a wall that apps must have: " + strings.Join(texts, "; ")
	err.Hint = "to run this app without it, now and later: consentry run " + strings.Join(flags, " ") + " …"
	return err
}

func (a *Agent) listWaivers(w http.ResponseWriter, _ *http.Request) error {
	list := []api.Waiver{}
	at := map[app.ID]int{}
	for _, r := range a.waiverRules("") {
		i, known := at[r.App]
		if !known {
			i, at[r.App] = len(list), len(list)
			list = append(list, api.Waiver{AppID: string(r.App)})
		}
		list[i].Walls = append(list[i].Walls, r.Target)
	}
	return ok(w, list)
}

// unwaive takes back what was waived for an app: its next start wants every wall.
func (a *Agent) unwaive(w http.ResponseWriter, r *http.Request) error {
	id := app.ID(r.URL.Query().Get("app"))
	rules := a.waiverRules(id)
	if id == "" || len(rules) == 0 {
		return &api.Error{Code: "not-found", Message: "nothing is waived for " + string(id), Status: statusNotFound, Hint: "see them with: consentry waivers"}
	}
	var errs error
	for _, rule := range rules {
		_, err := a.engine.Revoke(r.Context(), consent.Selector{ID: rule.ID})
		errs = errors.Join(errs, err)
	}
	return errors.Join(errs, ok(w, struct{}{}))
}
