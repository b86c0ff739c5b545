package tray

import (
	"fmt"
	"unicode/utf8"

	"github.com/consentry/consentry/agent/api"
)

// Item is one line of the menu. One without a title is a line between others.
type Item struct {
	Title   string
	Off     bool // it is to be read only
	Box     bool // it has a check box
	Checked bool
	Do      Action
	Items   []Item
}

// Action is what a click asks for. The zero value does nothing.
type Action struct {
	Verb   Verb
	Prompt api.Prompt // Answer
	Choice api.Choice // Answer
	Run    string     // Launch, Stop: its id
	App    string     // Mute, Unmute, Revoke: its id
	Page   string     // Console: see api.ConsoleRequest; OpenURL: an address of an app
}

// Verb is a kind of action.
type Verb string

// The verbs.
const (
	Nothing   Verb = ""
	Answer    Verb = "answer"
	Launch    Verb = "launch"
	Stop      Verb = "stop"
	OpenURL   Verb = "open"
	Console   Verb = "console"
	Mute      Verb = "mute"
	Unmute    Verb = "unmute"
	Revoke    Verb = "revoke"
	PauseAll  Verb = "pause all"
	ResumeAll Verb = "resume all"
	Offline   Verb = "offline" // turns it on or off
	AddFile   Verb = "add a file"
	Login     Verb = "start at login" // turns it on or off
	Quit      Verb = "quit"
)

// Bounds of the menu.
const (
	maxPrompts = 8
	maxApps    = 20

	// maxTitle is how many characters of a title a desktop is trusted to show. A
	// yes is not offered where what it is about may be cut off.
	maxTitle = 110
)

// fits says whether a question may be allowed from the menu or a notification.
func fits(p api.Prompt) bool { return utf8.RuneCountInString(p.Title) <= maxTitle }

// MenuOf is the menu of a state.
func MenuOf(s State) []Item {
	items := []Item{{Title: headline(s), Off: true}}
	if s.Connected {
		items = append(items, asked(s)...)
		items = append(items, Item{})
		items = append(items, appItems(s)...)
	}
	items = append(items, Item{})
	if s.Connected {
		items = append(items,
			Item{Title: "Add an app", Items: []Item{
				{Title: "From a registry…", Do: Action{Verb: Console, Page: "add"}},
				{Title: "From a file…", Do: Action{Verb: AddFile}},
			}},
			Item{Title: "Offline: every app", Box: true, Checked: s.Offline, Do: Action{Verb: Offline}},
			Item{},
			Item{Title: "Console…", Do: Action{Verb: Console}},
			Item{Title: "Timeline…", Do: Action{Verb: Console, Page: "log"}},
			Item{Title: "Settings…", Do: Action{Verb: Console, Page: "system"}},
		)
	}
	return append(items,
		Item{Title: "Start at login", Box: true, Checked: s.AtLogin, Do: Action{Verb: Login}},
		Item{Title: "Quit", Do: Action{Verb: Quit}})
}

// headline says the state in words; it is the icon's tooltip as well.
func headline(s State) string {
	waiting := len(s.Prompts) + len(s.Reviews)
	running := 0
	for _, r := range s.Runs {
		if alive(r.State) {
			running++
		}
	}
	switch {
	case !s.Connected:
		return "Consentry: no agent runs"
	case s.Trouble != "":
		return "Consentry: everything is denied"
	case s.Offline:
		return "Consentry: every app is offline"
	case waiting > 0:
		return fmt.Sprintf("Consentry: %s", count(waiting, "question waits", "questions wait"))
	case running > 0:
		return fmt.Sprintf("Consentry: %s", count(running, "app runs", "apps run"))
	}
	return "Consentry: no app runs"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// asked are the questions that wait, answers and all.
func asked(s State) []Item {
	var items []Item
	for _, p := range s.Prompts {
		if p.Queued || !p.Live {
			continue // it is in the console
		}
		if len(items) == maxPrompts {
			break
		}
		items = append(items, promptItem(p))
	}
	for _, r := range s.Reviews {
		if len(items) == maxPrompts {
			break
		}
		items = append(items, Item{Title: "An app asks for rights before it starts…", Do: Action{Verb: Console, Page: "review?id=" + r.ID}})
	}
	if rest := len(s.Prompts) + len(s.Reviews) - len(items); rest > 0 {
		items = append(items, Item{Title: count(rest, "more question…", "more questions…"), Do: Action{Verb: Console}})
	}
	return items
}

func promptItem(p api.Prompt) Item {
	item := Item{Title: clip(p.Title), Items: []Item{
		{Title: fmt.Sprintf("for %s (%s)", p.App, p.Digest), Off: true},
	}}
	if p.LooksLike != "" {
		item.Items = append(item.Items, Item{Title: clip("Warning: " + p.LooksLike), Off: true})
	}
	for _, c := range p.Choices {
		if c.Verdict == "allow" && !fits(p) {
			continue
		}
		item.Items = append(item.Items, Item{Title: c.Label, Do: Action{Verb: Answer, Prompt: p, Choice: c}})
	}
	item.Items = append(item.Items, Item{Title: "Details…", Do: details(p)})
	return item
}

// details opens one question in the console.
func details(p api.Prompt) Action { return Action{Verb: Console, Page: "request?id=" + p.ID} }

func clip(text string) string {
	if utf8.RuneCountInString(text) <= maxTitle {
		return text
	}
	return string([]rune(text)[:maxTitle-1]) + "…"
}

func appItems(s State) []Item {
	var items []Item
	apps := appsOf(s.Runs)
	running, paused := 0, 0
	for _, r := range s.Runs {
		switch r.State {
		case api.Running:
			running++
		case api.Paused:
			paused++
		}
	}
	for i, a := range apps {
		if i == maxApps {
			items = append(items, Item{Title: "More apps…", Do: Action{Verb: Console, Page: "apps"}})
			break
		}
		items = append(items, appItem(a, s.Muted[a.id]))
	}
	if len(apps) == 0 {
		items = append(items, Item{Title: "No app has run yet", Off: true})
	}
	if running > 0 {
		items = append(items, Item{Title: "Pause all apps", Do: Action{Verb: PauseAll}})
	}
	if paused > 0 {
		items = append(items, Item{Title: "Resume all apps", Do: Action{Verb: ResumeAll}})
	}
	return items
}

func appItem(a appRuns, muted bool) Item {
	item := Item{Title: a.name}
	add := func(title string, do Action) { item.Items = append(item.Items, Item{Title: title, Do: do}) }
	if alive(a.runs[0].State) {
		item.Title += " – " + string(a.runs[0].State)
	}
	for _, r := range a.runs {
		which := ""
		if len(a.runs) > 1 {
			which = " " + r.Name
		}
		if !alive(r.State) {
			add("Launch", Action{Verb: Launch, Run: r.ID})
			continue
		}
		add("Stop"+which, Action{Verb: Stop, Run: r.ID})
		for _, port := range r.Ports {
			if port.URL != "" {
				add(fmt.Sprintf("Open its page%s (port %d)", which, port.Host), Action{Verb: OpenURL, Page: port.URL})
			}
		}
	}
	add("What it may do…", Action{Verb: Console, Page: "app?ref=" + a.runs[0].ID})
	if muted {
		add("Ask again", Action{Verb: Unmute, App: a.id})
	} else {
		add("Stop asking", Action{Verb: Mute, App: a.id})
	}
	add("Take everything back", Action{Verb: Revoke, App: a.id})
	return item
}
