package console

import (
	"maps"
	"net/http"
	"slices"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/data"
)

func (v *view) flowsPage() error {
	flows, err := v.cfg.Agent.Flows(v.ctx(), "")
	if err != nil {
		return err
	}
	v.page(http.StatusOK, "flows", "Connections", flows)
	return nil
}

// logBody is a part of the ledger and how it was chosen.
type logBody struct {
	App, Kind string
	Apps      []*appLine
	Lines     []api.LedgerLine // newest first
}

func (v *view) logPage() error {
	q := v.r.URL.Query()
	body := logBody{App: q.Get("app"), Kind: q.Get("kind")}
	grants, err := v.cfg.Agent.Grants(v.ctx(), "")
	if err != nil {
		return err
	}
	runs, err := v.cfg.Agent.Runs(v.ctx(), true)
	if err != nil {
		return err
	}
	body.Apps = listApps(runs, grants)
	if body.Lines, err = v.timeline(client.LedgerQuery{App: body.App, Kind: body.Kind, Newest: timelineLines}); err != nil {
		return err
	}
	v.page(http.StatusOK, "log", "Timeline", body)
	return nil
}

// systemBody is what there is to say of Consentry itself, and of the user.
type systemBody struct {
	api.Version
	api.Doctor
	Waivers []api.Waiver
	Profile []field
}

type field struct{ Name, Value string }

func (v *view) systemPage() error {
	var body systemBody
	var err error
	if body.Version, err = v.cfg.Agent.Version(v.ctx()); err != nil {
		return err
	}
	if body.Doctor, err = v.cfg.Agent.Doctor(v.ctx()); err != nil {
		return err
	}
	if body.Waivers, err = v.cfg.Agent.Waivers(v.ctx()); err != nil {
		return err
	}
	profile, err := v.cfg.Agent.Profile(v.ctx())
	if err != nil {
		return err
	}
	body.Profile = fieldsOf(profile)
	v.page(http.StatusOK, "system", "Settings", body)
	return nil
}

// fieldsOf are the fields of a profile in their order, those that are empty too.
func fieldsOf(profile map[string]string) []field {
	var names []string
	for _, f := range data.Kinds()[0].Fields {
		names = append(names, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(profile)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var fields []field
	for _, name := range names {
		fields = append(fields, field{name, profile[name]})
	}
	return fields
}

func (v *view) saveProfile() error {
	before, err := v.cfg.Agent.Profile(v.ctx())
	if err != nil {
		return err
	}
	change := map[string]string{}
	for _, f := range fieldsOf(before) {
		if values, sent := v.r.PostForm["field-"+f.Name]; sent && values[0] != f.Value {
			change[f.Name] = values[0]
		}
	}
	if _, err := v.cfg.Agent.SetProfile(v.ctx(), change); err != nil {
		return err
	}
	v.back("Saved.", false)
	return nil
}

// offline cuts every app off from the network, or ends that.
func (v *view) offline() error {
	on := v.r.PostFormValue("on") != ""
	if err := v.cfg.Agent.SetOffline(v.ctx(), api.Offline{On: on, By: asker}); err != nil {
		return err
	}
	text := "The rules decide about the network again."
	if on {
		text = "" // every page says it
	}
	v.back(text, false)
	return nil
}

func (v *view) unwaive() error {
	app, err := v.form("app")
	if err != nil {
		return err
	}
	if err := v.cfg.Agent.Unwaive(v.ctx(), app); err != nil {
		return err
	}
	v.back("Every wall is wanted again, from its next start on.", false)
	return nil
}

func (v *view) verify() error {
	verified, err := v.cfg.Agent.VerifyLedger(v.ctx())
	if err != nil {
		return err
	}
	if !verified.OK {
		v.back("The ledger is NOT whole: "+verified.Detail, true)
		return nil
	}
	v.back("The ledger is whole: "+count(int(verified.Lines), "line")+" proven.", false) //nolint:gosec // a number of lines
	return nil
}
