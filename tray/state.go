package tray

import (
	"cmp"
	"slices"

	"github.com/consentry/consentry/agent/api"
)

// State is what the agent says, as far as the tray shows it.
type State struct {
	Connected bool
	Trouble   string // why there is no agent, or why everything is denied
	Prompts   []api.Prompt
	Reviews   []api.Review
	Runs      []api.Run // those that have ended, too
	Muted     map[string]bool
	Offline   bool // every app is cut off from the network
	AtLogin   bool // Consentry starts with the session
}

// Mood is what the icon says.
type Mood int

// The moods. The zero value is that of a tray without an agent.
const (
	Alert Mood = iota
	Idle
	Running
	Asking
)

func (m Mood) String() string { return [...]string{"alert", "idle", "running", "asking"}[m] }

// MoodOf is what the icon says of a state.
func MoodOf(s State) Mood {
	switch {
	case !s.Connected || s.Trouble != "":
		return Alert
	case len(s.Prompts)+len(s.Reviews) > 0:
		return Asking
	case slices.ContainsFunc(s.Runs, func(r api.Run) bool { return alive(r.State) }):
		return Running
	}
	return Idle
}

func alive(state api.State) bool {
	switch state {
	case api.Starting, api.Running, api.Stopping, api.Paused, api.Restarting:
		return true
	}
	return false
}

// appRuns are the runs of one app that the menu shows: those that are alive, or
// else the last one.
type appRuns struct {
	id, name string
	runs     []api.Run
}

// appsOf groups runs by app, in an order that does not change while they run.
func appsOf(runs []api.Run) []appRuns {
	var apps []appRuns
	for _, r := range slices.SortedFunc(slices.Values(runs), newestFirst) {
		at := slices.IndexFunc(apps, func(a appRuns) bool { return a.id == r.AppID })
		if at < 0 {
			apps = append(apps, appRuns{r.AppID, r.AppName, []api.Run{r}})
			continue
		}
		shown := apps[at].runs
		switch {
		case alive(r.State) && !alive(shown[0].State):
			apps[at].runs = []api.Run{r}
		case alive(r.State):
			apps[at].runs = append(shown, r)
		}
	}
	slices.SortStableFunc(apps, func(x, y appRuns) int { return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.id, y.id)) })
	return apps
}

func newestFirst(x, y api.Run) int {
	return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(x.ID, y.ID))
}
