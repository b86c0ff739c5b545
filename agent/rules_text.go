package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/rulefile"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

func (a *Agent) presets() rulefile.Presets { return rulefile.Presets{Dir: a.cfg.Presets} }

func (a *Agent) listPresets(w http.ResponseWriter, _ *http.Request) error {
	names, err := a.presets().Names()
	if err != nil {
		return err
	}
	list := []api.Preset{}
	for _, name := range names {
		p, err := a.presets().Find(name)
		shown := presetToAPI(p)
		if err != nil {
			shown = api.Preset{Name: name, Own: true, Error: err.Error()}
		}
		shown.Text = ""
		list = append(list, shown)
	}
	return ok(w, list)
}

func (a *Agent) getPreset(w http.ResponseWriter, r *http.Request) error {
	p, err := a.findPreset(r.PathValue("name"))
	if err != nil {
		return err
	}
	return ok(w, presetToAPI(p))
}

func (a *Agent) findPreset(name string) (rulefile.Preset, error) {
	p, err := a.presets().Find(name)
	switch {
	case errors.Is(err, rulefile.ErrNoPreset):
		return p, &api.Error{Code: "not-found", Message: err.Error(), Hint: "see them with: consentry presets", Status: statusNotFound}
	case err != nil:
		return p, invalid("%v", err)
	}
	return p, nil
}

func presetToAPI(p rulefile.Preset) api.Preset {
	return api.Preset{Name: p.Name, About: p.About, Own: p.Own, Rules: len(p.Entries), Text: p.Text}
}

func (a *Agent) exportGrants(w http.ResponseWriter, r *http.Request) error {
	var id app.ID
	if name := r.URL.Query().Get("app"); name != "" {
		which, _, err := a.appByName(name)
		if err != nil {
			return err
		}
		id = which.ID()
	}
	var entries []rulefile.Entry
	for _, rule := range a.given(id) { // another machine may have the walls
		if rule.Lifetime != consent.Run {
			entries = append(entries, entryOf(rule))
		}
	}
	slices.SortStableFunc(entries, func(x, y rulefile.Entry) int { return cmp.Compare(x.App, y.App) })
	return ok(w, api.RuleText{Text: rulefile.Write(entries)})
}

// entryOf writes a yes that the user shaped as a no: the text has no words for
// what was chosen, and without it the yes would be to more.
func entryOf(r consent.Rule) rulefile.Entry {
	if r.Shape != "" {
		r.Verdict = consent.Deny
	}
	return rulefile.Entry{App: r.App, AppName: r.AppName, Verdict: r.Verdict, Kind: r.Kind, Target: r.Target, Until: r.Expires}
}

func (a *Agent) importGrants(w http.ResponseWriter, r *http.Request) error {
	var req api.ImportRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	entries, by, err := a.entries(req)
	if err != nil {
		return err
	}
	a.importing.Lock()
	defer a.importing.Unlock()
	plan, rules := a.planImport(entries, by)
	if req.Apply == "" {
		return ok(w, plan)
	}
	if req.Apply != plan.Plan {
		return &api.Error{
			Code: "stale", Message: "what the import would do has changed since it was shown; nothing was done",
			Hint: "look at it again and repeat it", Status: statusConflict,
		}
	}
	if _, err := a.engine.Give(r.Context(), rules); err != nil {
		return err
	}
	plan.Applied = true
	return ok(w, plan)
}

// entries are the rules of a request, each with its app.
func (a *Agent) entries(req api.ImportRequest) (entries []rulefile.Entry, by string, err error) {
	if (req.Text == "") == (req.Preset == "") {
		return nil, "", invalid("an import is a text or a preset, one of them")
	}
	by = "import"
	if req.Preset != "" {
		p, err := a.findPreset(req.Preset)
		if err != nil {
			return nil, "", err
		}
		entries, by = p.Entries, "preset "+p.Name
	} else if entries, err = rulefile.Parse([]byte(req.Text)); err != nil {
		return nil, "", invalid("nothing was done: %v", err)
	}
	return entries, by, a.nameApps(entries, req.App)
}

// nameApps fills in the app where the text has none. It may not be said twice.
func (a *Agent) nameApps(entries []rulefile.Entry, name string) error {
	var which app.App
	if name != "" {
		var err error
		if which, _, err = a.appByName(name); err != nil {
			return err
		}
	}
	for i := range entries {
		e := &entries[i]
		switch {
		case e.App == "" && name == "":
			return invalid("line %d: no app is named for the rule; say which one", e.Line)
		case e.App != "" && name != "" && e.App != which.ID():
			return invalid("line %d: the rule is for another app, %s", e.Line, e.AppName)
		case e.App == "":
			e.App, e.AppName = which.ID(), which.Name
		}
	}
	return nil
}

// planImport says what each entry would do, and has the rules that do it.
func (a *Agent) planImport(entries []rulefile.Entry, by string) (api.ImportPlan, []consent.Rule) {
	now := a.cfg.Now()
	plan := api.ImportPlan{Items: []api.ImportItem{}}
	var rules []consent.Rule
	var steps []step
	for _, e := range entries {
		rule := ruleOf(e, by, now)
		item := api.ImportItem{
			Line: e.Line, App: e.AppName, AppID: string(e.App), Verdict: verdictText(e.Verdict),
			Kind: string(e.Kind), Target: e.Target, Expires: e.Until,
		}
		item.Does, item.Was = a.effect(rule, now)
		if e.For > 0 {
			item.Expires = rule.Expires
		}
		steps = append(steps, step{e, item.Does, item.Was})
		if item.Does == doesAdd || item.Does == doesReplace {
			rules = append(rules, rule)
		}
		plan.Items = append(plan.Items, item)
	}
	plan.Plan = fingerprint(steps)
	return plan, rules
}

func ruleOf(e rulefile.Entry, by string, now time.Time) consent.Rule {
	rule := consent.Rule{App: e.App, AppName: e.AppName, Kind: e.Kind, Target: e.Target, Verdict: e.Verdict, Lifetime: consent.Always, By: by}
	switch {
	case e.For > 0:
		rule.Lifetime, rule.Expires = consent.Timed, now.Add(e.For)
	case !e.Until.IsZero():
		rule.Lifetime, rule.Expires = consent.Timed, e.Until
	}
	return rule
}

// What an import does about a rule.
const (
	doesAdd     = "add"
	doesReplace = "replace"
	doesNothing = "same"
	doesOver    = "over"
)

func (a *Agent) effect(rule consent.Rule, now time.Time) (does, was string) {
	if rule.Lifetime == consent.Timed && !rule.Expires.After(now) {
		return doesOver, ""
	}
	for _, old := range a.engine.Rules(rule.App) {
		if old.Run != "" || old.Kind != rule.Kind || old.Target != rule.Target {
			continue
		}
		if old.Verdict == rule.Verdict && old.Expires.Truncate(time.Second).Equal(rule.Expires.Truncate(time.Second)) {
			return doesNothing, ""
		}
		return doesReplace, verdictText(old.Verdict)
	}
	return doesAdd, ""
}

// step is what a plan stands for; a time that counts from now is in it as it
// was written.
type step struct {
	Entry     rulefile.Entry
	Does, Was string
}

func fingerprint(steps []step) string {
	raw, err := json.Marshal(steps)
	if err != nil {
		return "" // no plan, so that none can be carried out
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// givePresets gives a run the rules of the presets it was started with, until
// it ends. Of two for one target the last one counts.
func (a *Agent) givePresets(ctx context.Context, rec record) error {
	var rules []consent.Rule
	for _, name := range rec.Request.Presets {
		p, err := a.findPreset(name)
		if err != nil {
			return err
		}
		for _, e := range p.Entries {
			rules = slices.DeleteFunc(rules, func(r consent.Rule) bool { return r.Kind == e.Kind && r.Target == e.Target })
			rules = append(rules, consent.Rule{
				App: rec.App.ID(), AppName: rec.App.Name, Run: rec.ID, Kind: e.Kind, Target: e.Target,
				Verdict: e.Verdict, Lifetime: consent.Run, By: "preset " + p.Name,
			})
		}
	}
	_, err := a.engine.Give(ctx, rules)
	return err
}
