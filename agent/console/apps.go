package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// appLine is one app in the list.
type appLine struct {
	Name, ID string
	Running  int
	Allowed  int
	Denied   int
	Asks     int
}

// listApps joins what runs, or ran, with what was given.
func listApps(runs []api.Run, grants []api.Grant) []*appLine {
	byID := map[string]*appLine{}
	line := func(id, name string) *appLine {
		if byID[id] == nil {
			byID[id] = &appLine{ID: id, Name: name}
		}
		return byID[id]
	}
	for _, r := range runs {
		l := line(r.AppID, r.AppName)
		l.Asks += r.Requests
		if alive(r.State) {
			l.Running++
		}
	}
	for _, g := range grants {
		l := line(g.AppID, g.App)
		if g.Verdict == "allow" {
			l.Allowed++
		} else {
			l.Denied++
		}
	}
	var list []*appLine
	for _, l := range byID {
		list = append(list, l)
	}
	slices.SortFunc(list, func(x, y *appLine) int {
		if (x.Running > 0) != (y.Running > 0) {
			return y.Running - x.Running
		}
		return strings.Compare(x.Name+x.ID, y.Name+y.ID)
	})
	return list
}

// alive says whether a run can be stopped.
func alive(state api.State) bool {
	return state == api.Running || state == api.Paused || state == api.Starting || state == api.Stopping || state == api.Restarting
}

func (v *view) appsPage() error {
	runs, err := v.cfg.Agent.Runs(v.ctx(), true)
	if err != nil {
		return err
	}
	grants, err := v.cfg.Agent.Grants(v.ctx(), "")
	if err != nil {
		return err
	}
	v.page(http.StatusOK, "apps", "Apps", listApps(runs, grants))
	return nil
}

// timelineLines is how many lines of the ledger a page shows.
const timelineLines = 200

// appBody is all of one app.
type appBody struct {
	api.AppOverview
	Ref      string
	Runs     []api.Run
	Timeline []api.LedgerLine // newest first
}

func (v *view) appPage() error {
	ref := v.r.URL.Query().Get("ref")
	o, err := v.cfg.Agent.Overview(v.ctx(), ref)
	if err != nil {
		return err
	}
	body := appBody{AppOverview: o, Ref: appRef(ref)}
	runs, err := v.cfg.Agent.Runs(v.ctx(), true)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.AppID == o.AppID {
			body.Runs = append(body.Runs, r)
		}
	}
	if body.Timeline, err = v.timeline(client.LedgerQuery{App: o.AppID, Newest: timelineLines}); err != nil {
		return err
	}
	v.page(http.StatusOK, "app", o.App, body)
	return nil
}

// timeline is lines of the ledger, newest first.
func (v *view) timeline(q client.LedgerQuery) ([]api.LedgerLine, error) {
	var lines []api.LedgerLine
	for line, err := range v.cfg.Agent.Ledger(v.ctx(), q) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return lines, nil
}

func (v *view) revoke() error {
	id, err := v.form("id")
	if err != nil {
		return err
	}
	gone, err := v.cfg.Agent.Revoke(v.ctx(), id)
	if err != nil {
		return err
	}
	text := "There was nothing to take back."
	if len(gone) > 0 {
		text = "Taken back: " + count(len(gone), "rule") + ". What was open by it is cut."
	}
	for _, g := range gone {
		if g.Notice != "" {
			text += " " + g.Notice
		}
	}
	v.back(text, false)
	return nil
}

func (v *view) mute() error {
	app, err := v.form("app")
	if err != nil {
		return err
	}
	undo := v.r.PostFormValue("undo") != ""
	if _, err := v.cfg.Agent.Mute(v.ctx(), api.MuteRequest{App: app, Undo: undo, By: asker}); err != nil {
		return err
	}
	text := "It is not asked about any more: what no rule allows is denied."
	if undo {
		text = "It is asked about again."
	}
	v.back(text, false)
	return nil
}

// startPatience is how long the page waits for an app to start; the start goes
// on after it.
const startPatience = 3 * time.Second

func (v *view) start() error {
	run, err := v.form("run")
	if err != nil {
		return err
	}
	return v.starting(func(ctx context.Context) error { return v.cfg.Agent.Launch(ctx, run) })
}

func (v *view) addPage() error {
	v.page(http.StatusOK, "add", "Add an app", nil)
	return nil
}

// add starts an app for the first time.
func (v *view) add() error {
	source, err := v.form("source")
	if err != nil {
		return err
	}
	return v.starting(func(ctx context.Context) error { return v.cfg.Agent.Add(ctx, strings.TrimSpace(source)) })
}

func (v *view) starting(start func(context.Context) error) error {
	ctx, cancel := context.WithCancel(v.door.ctx)
	ended := make(chan error, 1)
	v.door.starts.Go(func() {
		defer cancel()
		ended <- start(ctx)
	})
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
		v.back("It runs.", false)
	case <-time.After(startPatience):
		v.back("It starts. What it asks for comes under Requests.", false)
	}
	return nil
}

func (v *view) stop() error {
	run, err := v.form("run")
	if err != nil {
		return err
	}
	if err := v.cfg.Agent.Stop(v.ctx(), run, -1); err != nil {
		return err
	}
	v.back("It was stopped.", false)
	return nil
}
