package agent

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

func (a *Agent) listRequests(w http.ResponseWriter, _ *http.Request) error {
	list := []api.Prompt{}
	for _, p := range a.engine.Pending() {
		prompt := a.promptToAPI(p)
		if r, err := a.find(p.Request.Run); err == nil {
			prompt.RunName = r.rec.Name
		}
		list = append(list, prompt)
	}
	return ok(w, list)
}

func (a *Agent) answerRequest(w http.ResponseWriter, r *http.Request) error {
	var req api.AnswerRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	verdict, err := parseVerdict(req.Verdict)
	if err != nil {
		return err
	}
	shape, err := a.shapeOfAnswer(r.PathValue("id"), verdict, req.Shape)
	if err != nil {
		return err
	}
	if err := a.engine.Answer(r.Context(), consent.Answer{
		Request: r.PathValue("id"), Shape: shape, Nonce: req.Nonce, Verdict: verdict, Lifetime: consent.Lifetime(req.Lifetime),
		For: req.For, Target: req.Target, Fields: req.Fields, By: req.By, Everything: req.Everything,
	}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func parseVerdict(text string) (consent.Verdict, error) {
	switch text {
	case "allow":
		return consent.Allow, nil
	case "deny":
		return consent.Deny, nil
	}
	return consent.Deny, invalid("verdict %q: use allow or deny", text)
}

func verdictText(v consent.Verdict) string {
	if v == consent.Allow {
		return "allow"
	}
	return "deny"
}

// apps returns the app that a user means by the name or id of a run, the name
// of an app, or the id that grants are bound to.
func (a *Agent) appByName(name string) (app.App, string, error) {
	if r, err := a.find(name); err == nil {
		rec, _ := r.snapshot()
		return rec.App, rec.ID, nil
	}
	for _, r := range a.list() {
		if rec, _ := r.snapshot(); rec.App.Name == name || string(rec.App.ID()) == name {
			return rec.App, "", nil
		}
	}
	for _, rule := range a.engine.Rules("") {
		if rule.AppName == name || string(rule.App) == name {
			return app.App{Name: rule.AppName, Digest: string(rule.App)}, "", nil
		}
	}
	if img, err := a.images.Lookup(name); err == nil {
		return appOf(img), "", nil
	}
	if filepath.IsAbs(name) {
		if format, err := formatOf(name); err == nil && format == formatModule {
			module, err := a.modules.add(name)
			return module, "", err
		}
	}
	return app.App{}, "", &api.Error{
		Code: "not-found", Message: "no app is known as \"" + name + "\"", Status: statusNotFound,
		Hint: "use the name of a run (consentry ps -a) or of an image (consentry images)",
	}
}

func (a *Agent) listGrants(w http.ResponseWriter, r *http.Request) error {
	var id app.ID
	if name := r.URL.Query().Get("app"); name != "" {
		which, _, err := a.appByName(name)
		if err != nil {
			return err
		}
		id = which.ID()
	}
	return ok(w, rulesToAPI(a.given(id)))
}

// given are the rules of an app, or of all, about what is outside of it. The
// walls that it does without have a list of their own.
func (a *Agent) given(id app.ID) []consent.Rule {
	return slices.DeleteFunc(a.engine.Rules(id), func(r consent.Rule) bool { return r.Kind == consent.WallWaive })
}

func (a *Agent) addGrant(w http.ResponseWriter, r *http.Request) error {
	var req api.Grant
	if err := readBody(r, &req); err != nil {
		return err
	}
	verdict, err := parseVerdict(req.Verdict)
	if err != nil {
		return err
	}
	which, run, err := a.appByName(req.App)
	if err != nil {
		return err
	}
	shape, err := shapeOf(consent.Kind(req.Kind), verdict, req.Shape)
	if err != nil {
		return err
	}
	rule := consent.Rule{
		Shape: shape, App: which.ID(), AppName: which.Name, Kind: consent.Kind(req.Kind), Target: req.Target,
		Verdict: verdict, Lifetime: consent.Lifetime(req.Lifetime), Expires: req.Expires, By: req.By,
	}
	if rule.Lifetime == consent.Run {
		if rule.Run = run; run == "" {
			return invalid("a grant until the app exits needs a run: give its name")
		}
	}
	if rule, err = a.engine.Allow(r.Context(), rule); err != nil {
		return err
	}
	return ok(w, ruleToAPI(rule))
}

func (a *Agent) revokeGrants(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	selector := consent.Selector{ID: id}
	if name, byApp := strings.CutPrefix(id, "app:"); byApp {
		which, _, err := a.appByName(name)
		if err != nil {
			return err
		}
		selector = consent.Selector{App: which.ID()}
	} else if id == "all" {
		selector = consent.Selector{All: true}
	}
	gone, err := a.engine.Revoke(r.Context(), selector)
	if err != nil {
		return err
	}
	if len(gone) == 0 && selector.ID != "" {
		return &api.Error{Code: "not-found", Message: "there is no grant \"" + id + "\"", Hint: "see them with: consentry grants", Status: statusNotFound}
	}
	return ok(w, a.tellPaused(rulesToAPI(gone)))
}

func (a *Agent) getWhy(w http.ResponseWriter, r *http.Request) error {
	name, text := r.URL.Query().Get("app"), r.URL.Query().Get("target")
	which, run, err := a.appByName(name)
	if err != nil {
		return err
	}
	kind, target := kindOfTarget(text)
	e := a.engine.Why(which, run, kind, target)
	why := api.Why{App: which.Name, Target: target, Verdict: e.Verdict, Text: e.Text}
	if e.Rule != nil {
		rule := ruleToAPI(*e.Rule)
		why.Rule = &rule
	}
	return ok(w, why)
}

// kindOfTarget reads what a person types: "data.identity email", "api.example.com:443",
// "tcp/api.example.com:443".
func kindOfTarget(text string) (consent.Kind, string) {
	if kind, target, ok := strings.Cut(text, " "); ok {
		return consent.Kind(kind), target
	}
	if !strings.HasPrefix(text, "tcp/") && !strings.HasPrefix(text, "udp/") {
		text = "tcp/" + text
	}
	if strings.LastIndexByte(text, ':') <= strings.LastIndexByte(text, ']') {
		text += ":443"
	}
	return consent.NetConnect, text
}
