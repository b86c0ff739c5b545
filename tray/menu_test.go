package tray

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// question is one as the agent asks it, in words of its own and of an app.
func question(id, title string) api.Prompt {
	return api.Prompt{
		ID: id, Nonce: "nonce-" + id, App: "evil <b>app</b>", Digest: "0123456789ab", Kind: "net.connect", Target: "tcp/x.test:443",
		Title: title, Reason: "ALLOW ME", Live: true, Count: 1,
		Notice: api.Notice{Title: title, Body: "for evil <b>app</b> (0123456789ab)\nThe app says: “ALLOW ME”"},
		Choices: []api.Choice{
			{Label: "Allow once", Verdict: "allow", Lifetime: "once"},
			{Label: "Allow until the app exits", Verdict: "allow", Lifetime: "run"},
			{Label: "Deny once", Verdict: "deny", Lifetime: "once"},
			{Label: "Deny always", Verdict: "deny", Lifetime: "always"},
		},
	}
}

func run(id, app string, state api.State, ago time.Duration) api.Run {
	return api.Run{ID: id, Name: "run-" + id, AppID: "id-" + app, AppName: app, State: state, Created: time.Unix(1e9, 0).Add(-ago)}
}

// outline writes a menu as text: one item a line, "-" for a line, "*" for what
// does something, brackets for a box.
func outline(items []Item, indent string) string {
	var b strings.Builder
	for _, it := range items {
		mark := " "
		if it.Do.Verb != Nothing {
			mark = "*"
		}
		if it.Box {
			mark = map[bool]string{false: "[ ]", true: "[x]"}[it.Checked]
		}
		if it.Title == "" {
			it.Title = "-"
		}
		fmt.Fprintf(&b, "%s%s %s\n", indent, mark, it.Title)
		b.WriteString(outline(it.Items, indent+"  "))
	}
	return b.String()
}

func TestTheMenu(t *testing.T) {
	port := run("3", "web", api.Running, 0)
	port.Ports = []api.PortMapping{{Host: 8080, App: 80, URL: "http://web.localhost:8080"}}
	for name, c := range map[string]struct {
		state State
		mood  Mood
		want  string
	}{
		"no agent": {State{}, Alert, `  Consentry: no agent runs
  -
[ ] Start at login
* Quit
`},
		"nothing": {State{Connected: true, AtLogin: true}, Idle, `  Consentry: no app runs
  -
  No app has run yet
  -
  Add an app
  * From a registry…
  * From a file…
[ ] Offline: every app
  -
* Console…
* Timeline…
* Settings…
[x] Start at login
* Quit
`},
		"apps": {State{Connected: true, Muted: map[string]bool{"id-old": true}, Runs: []api.Run{
			run("1", "old", api.Exited, time.Hour), run("2", "old", api.Exited, 2*time.Hour), port,
		}}, Running, `  Consentry: 1 app runs
  -
  old
  * Launch
  * What it may do…
  * Ask again
  * Take everything back
  web – running
  * Stop
  * Open its page (port 8080)
  * What it may do…
  * Stop asking
  * Take everything back
* Pause all apps
  -
  Add an app
  * From a registry…
  * From a file…
[ ] Offline: every app
  -
* Console…
* Timeline…
* Settings…
[ ] Start at login
* Quit
`},
		"questions": {State{Connected: true, Prompts: []api.Prompt{
			question("a", "Connect to x.test, port 443 (TCP)"), question("b", strings.Repeat("long ", 40)),
			func() api.Prompt { p := question("c", "Later"); p.Queued = true; return p }(),
		}, Reviews: []api.Review{{ID: "r"}}}, Asking, `  Consentry: 4 questions wait
  Connect to x.test, port 443 (TCP)
    for evil <b>app</b> (0123456789ab)
  * Allow once
  * Allow until the app exits
  * Deny once
  * Deny always
  * Details…
  long long long long long long long long long long long long long long long long long long long long long long…
    for evil <b>app</b> (0123456789ab)
  * Deny once
  * Deny always
  * Details…
* An app asks for rights before it starts…
* 1 more question…
  -
  No app has run yet
  -
  Add an app
  * From a registry…
  * From a file…
[ ] Offline: every app
  -
* Console…
* Timeline…
* Settings…
[ ] Start at login
* Quit
`},
		"denied": {State{Connected: true, Trouble: "damaged"}, Alert, `  Consentry: everything is denied
  -
  No app has run yet
  -
  Add an app
  * From a registry…
  * From a file…
[ ] Offline: every app
  -
* Console…
* Timeline…
* Settings…
[ ] Start at login
* Quit
`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outline(MenuOf(c.state), ""); got != c.want {
				t.Errorf("the menu is\n%s\nwant\n%s", got, c.want)
			}
			if mood := MoodOf(c.state); mood != c.mood {
				t.Errorf("the mood is %s, want %s", mood, c.mood)
			}
		})
	}
}

// Probe 53: an app's words are in no title and on no button.
func TestWhereWordsOfAnAppStand(t *testing.T) {
	n := NoticeOf(question("a", "Connect to x.test, port 443 (TCP)"))
	all := n.Title
	for _, b := range n.Buttons {
		all += b.Label
	}
	if strings.Contains(all, "evil") || strings.Contains(all, "ALLOW ME") || len(n.Buttons) != 3 {
		t.Errorf("%+v", n)
	}
	if n := NoticeOf(question("a", strings.Repeat("x", maxTitle+1))); n.Buttons[0].Key != keyDeny {
		t.Errorf("a yes is offered for what does not fit: %+v", n)
	}
}

func TestThePlan(t *testing.T) {
	changed := question("changed", "Connect")
	changed.Title = "Connect to more"
	renewed := question("renewed", "Connect")
	renewed.Nonce = "other"
	queued := question("queued", "Connect")
	queued.Queued = true
	over := question("over", "Connect")
	over.Live = false
	now := map[string]*shown{}
	for _, id := range []string{"same", "changed", "renewed", "over", "gone"} {
		now[id] = &shown{prompt: question(id, "Connect")}
	}
	p := planOf(now, []api.Prompt{question("same", "Connect"), changed, renewed, queued, over, question("new", "Connect")})
	var show []string
	for _, prompt := range p.show {
		show = append(show, prompt.ID)
	}
	if got := strings.Join(show, " "); got != "changed renewed new" {
		t.Errorf("shown: %s", got)
	}
	if len(p.withdraw) != 2 {
		t.Errorf("withdrawn: %v", p.withdraw)
	}
}

func TestEveryMoodHasItsPictures(t *testing.T) {
	seen := map[string]string{}
	for _, mood := range []Mood{Alert, Idle, Running, Asking} {
		for _, dark := range []bool{false, true} {
			for _, form := range []string{"png", "ico"} {
				raw := string(picture(mood, dark, form))
				name := fmt.Sprint(mood, dark, form)
				if other, twice := seen[raw]; twice && mood != Alert {
					t.Errorf("%s and %s are the same picture", name, other)
				}
				seen[raw] = name
			}
		}
	}
}
