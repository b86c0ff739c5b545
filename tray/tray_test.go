package tray

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// fakeAgent has what the test gives it, and remembers what it was told.
type fakeAgent struct {
	news    chan api.News // closed: the agent has gone
	prompts []api.Prompt
	runs    []api.Run
	offline bool
	refuse  error // of the next answer
	told    []string
}

func (a *fakeAgent) News(ctx context.Context) iter.Seq2[api.News, error] {
	return func(yield func(api.News, error) bool) {
		for {
			select {
			case n, open := <-a.news:
				if !open {
					yield(n, errors.New("no agent"))
					return
				}
				if !yield(n, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
func (a *fakeAgent) Requests(context.Context) ([]api.Prompt, error) {
	return slices.Clone(a.prompts), nil
}
func (a *fakeAgent) Reviews(context.Context) ([]api.Review, error)       { return nil, nil }
func (a *fakeAgent) Runs(context.Context, bool) ([]api.Run, error)       { return slices.Clone(a.runs), nil }
func (a *fakeAgent) Grants(context.Context, string) ([]api.Grant, error) { return nil, nil }
func (a *fakeAgent) Offline(context.Context) (bool, error)               { return a.offline, nil }
func (a *fakeAgent) SetOffline(_ context.Context, o api.Offline) error {
	a.offline = o.On
	return a.tell("offline", fmt.Sprint(o.On))
}
func (a *fakeAgent) Add(_ context.Context, source string) error { return a.tell("add", source) }
func (a *fakeAgent) Alert() string                              { return "" }
func (a *fakeAgent) tell(words ...string) error {
	a.told = append(a.told, strings.Join(words, " "))
	return nil
}
func (a *fakeAgent) Launch(_ context.Context, ref string) error { return a.tell("launch", ref) }
func (a *fakeAgent) Stop(_ context.Context, r string, _ time.Duration) error {
	return a.tell("stop", r)
}
func (a *fakeAgent) Pause(_ context.Context, ref string) error   { return a.tell("pause", ref) }
func (a *fakeAgent) Unpause(_ context.Context, ref string) error { return a.tell("unpause", ref) }

func (a *fakeAgent) Answer(_ context.Context, id string, r api.AnswerRequest) error {
	if a.refuse != nil {
		return a.refuse
	}
	return a.tell(r.Verdict, r.Lifetime, id, r.Nonce, r.By)
}

func (a *fakeAgent) Mute(_ context.Context, r api.MuteRequest) ([]api.Grant, error) {
	return nil, a.tell("mute", r.App)
}

func (a *fakeAgent) Revoke(_ context.Context, id string) ([]api.Grant, error) {
	return nil, a.tell("revoke", id)
}

func (a *fakeAgent) Console(_ context.Context, r api.ConsoleRequest) (api.Console, error) {
	return api.Console{File: "file of " + r.Page}, nil
}

// fakeDesktop is panel, notifier and the rest.
type fakeDesktop struct {
	mood      Mood
	menu      []Item
	clicks    chan Action
	events    chan Event
	last      uint32
	notices   map[uint32]Notice
	absent    atomic.Bool // no service shows notifications
	locked    bool
	lockFault error
	opened    []string
	chosen    string // the file that the user chooses; "": there is no dialog
	login     bool
	closed    int
}

func (d *fakeDesktop) Show(n Notice, replaces uint32) (uint32, error) {
	if d.absent.Load() {
		return 0, errors.New("no service")
	}
	if replaces == 0 {
		d.last++
		replaces = d.last
	}
	d.notices[replaces] = n
	return replaces, nil
}
func (d *fakeDesktop) Withdraw(id uint32) error { delete(d.notices, id); return nil }
func (d *fakeDesktop) Events() <-chan Event     { return d.events }
func (d *fakeDesktop) Close()                   { d.closed++ }
func (d *fakeDesktop) On() (bool, error)        { return d.login, nil }
func (d *fakeDesktop) Set(on bool) error        { d.login = on; return nil }

type fakePanel struct{ *fakeDesktop }

func (p fakePanel) Show(mood Mood, _ string, menu []Item) { p.mood, p.menu = mood, menu }
func (p fakePanel) Clicks() <-chan Action                 { return p.clicks }

// within runs a test with a tray, in time that passes when all wait.
func within(t *testing.T, test func(t *testing.T, a *fakeAgent, d *fakeDesktop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAgent{news: make(chan api.News)}
		d := &fakeDesktop{clicks: make(chan Action), events: make(chan Event), notices: map[uint32]Notice{}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- Run(ctx, Config{
				Agent: a, Log: slog.New(slog.DiscardHandler), Now: time.Now,
				Desktop: Desktop{
					Panel: fakePanel{d}, Notifier: d, Login: d,
					Locked: func(context.Context) (bool, error) { return d.locked, d.lockFault },
					Choose: func(context.Context) (string, error) {
						if d.chosen == "" {
							return "", errNoChooser
						}
						return d.chosen, nil
					},
					Open: func(_ context.Context, what string) error { d.opened = append(d.opened, what); return nil },
				},
			})
		}()
		synctest.Wait()
		test(t, a, d)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(d.notices) != 0 || d.closed != 2 {
			t.Errorf("left behind: %v, %d of 2 closed", d.notices, d.closed)
		}
	})
}

func (a *fakeAgent) change() {
	a.news <- api.News{Requests: true}
	synctest.Wait()
}

func (a *fakeAgent) heard(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(a.told, want) {
		t.Errorf("the agent was told %q, want %q", a.told, want)
	}
	a.told = nil
}

func TestANotificationAnswers(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test"), question("b", "Connect to y.test")}
		a.change()
		if len(d.notices) != 2 || d.mood != Asking {
			t.Fatalf("%v %s", d.notices, d.mood)
		}
		d.events <- Event{ID: 99, Key: keyAllow} // of another program
		a.heard(t)
		d.events <- Event{ID: 1, Key: keyAllow}
		a.heard(t, "allow once a nonce-a tray")
		d.events <- Event{ID: 1, Key: keyAllow} // once more
		a.heard(t)
		d.events <- Event{ID: 2, Key: keyDeny}
		a.heard(t, "deny once b nonce-b tray")
	})
}

func TestANotificationThatClosesChangesNothing(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test")}
		a.change()
		delete(d.notices, 1)
		d.events <- Event{ID: 1}
		a.change()
		a.heard(t)
		if len(d.notices) != 0 {
			t.Error("it comes again by itself")
		}
		d.events <- Event{ID: 1, Key: keyAllow} // a service that says so after it closed
		a.heard(t)
		d.events <- Event{ID: 1, Key: "other"}
		a.heard(t)
	})
}

func TestAnsweredElsewhere(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test")}
		a.change()
		a.prompts = nil
		a.change()
		if len(d.notices) != 0 || d.mood != Idle {
			t.Errorf("still there: %v %s", d.notices, d.mood)
		}
		d.events <- Event{ID: 1, Key: keyAllow}
		a.heard(t)
	})
}

// A yes that does not count leaves the question where it was.
func TestAYesThatDoesNotCount(t *testing.T) {
	for name, prepare := range map[string]func(*fakeAgent, *fakeDesktop){
		"locked":      func(_ *fakeAgent, d *fakeDesktop) { d.locked = true },
		"nobody says": func(_ *fakeAgent, d *fakeDesktop) { d.lockFault = errors.New("no answer") },
		"too early":   func(a *fakeAgent, _ *fakeDesktop) { a.refuse = errors.New("early") },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
				a.prompts = []api.Prompt{question("a", "Connect to x.test")}
				a.change()
				prepare(a, d)
				delete(d.notices, 1) // services close what was pressed
				d.events <- Event{ID: 1, Key: keyAllow}
				a.heard(t)
				if len(d.notices) != 1 {
					t.Fatal("the question has gone")
				}
				if name == "locked" {
					d.events <- Event{ID: 2, Key: keyDeny} // a no is always taken
					a.heard(t, "deny once a nonce-a tray")
				}
			})
		})
	}
}

// Probe 54: a menu that has just changed may have moved under the pointer.
func TestAMenuThatHasJustChanged(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test")}
		a.change()
		yes, no := d.menu[1].Items[1].Do, d.menu[1].Items[3].Do
		if yes.Choice.Verdict != "allow" || no.Choice.Verdict != "deny" {
			t.Fatalf("%+v %+v", yes, no)
		}
		d.clicks <- yes
		a.heard(t)
		d.clicks <- no
		a.heard(t, "deny once a nonce-a tray")
		time.Sleep(menuRest)
		d.clicks <- yes
		a.heard(t, "allow once a nonce-a tray")
	})
}

func TestTheMenuActs(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.runs = []api.Run{run("1", "one", api.Running, 0), run("2", "two", api.Running, 0), run("3", "three", api.Paused, 0), run("4", "four", api.Exited, 0)}
		a.change()
		if d.mood != Running {
			t.Error(d.mood)
		}
		for _, c := range []struct {
			do   Action
			told []string
		}{
			{Action{Verb: Stop, Run: "1"}, []string{"stop 1"}},
			{Action{Verb: Launch, Run: "4"}, []string{"launch 4"}},
			{Action{Verb: Mute, App: "id-one"}, []string{"mute id-one"}},
			{Action{Verb: Revoke, App: "id-one"}, []string{"revoke app:id-one"}},
			{Action{Verb: PauseAll}, []string{"pause 1", "pause 2"}},
			{Action{Verb: ResumeAll}, []string{"unpause 3"}},
		} {
			d.clicks <- c.do
			a.heard(t, c.told...)
		}
		d.clicks <- Action{Verb: Console, Page: "log"}
		d.clicks <- Action{Verb: OpenURL, Page: "http://one.localhost:1"}
		synctest.Wait()
		slices.Sort(d.opened)
		if !slices.Equal(d.opened, []string{"file of log", "http://one.localhost:1"}) {
			t.Error(d.opened)
		}
		d.clicks <- Action{Verb: Login}
		synctest.Wait()
		if last := d.menu[len(d.menu)-2]; !d.login || !last.Checked {
			t.Errorf("start at login: %v, the box says %v", d.login, last.Checked)
		}
	})
}

// A session may start the tray before what shows its notifications.
func TestAServiceThatComesLate(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		d.absent.Store(true)
		a.prompts = []api.Prompt{question("a", "Connect to x.test")}
		a.change()
		time.Sleep(3 * defaultRetry)
		synctest.Wait()
		d.absent.Store(false)
		time.Sleep(defaultRetry)
		synctest.Wait()
		if len(d.notices) != 1 {
			t.Errorf("shown: %v", d.notices)
		}
	})
}

func TestAnAgentThatGoes(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test")}
		a.change()
		gone := a.news
		a.news = make(chan api.News)
		close(gone)
		synctest.Wait()
		if d.mood != Alert || len(d.notices) != 0 {
			t.Errorf("without an agent: %s %v", d.mood, d.notices)
		}
		time.Sleep(defaultRetry)
		a.change()
		if d.mood != Asking || len(d.notices) != 1 {
			t.Errorf("with the next one: %s %v", d.mood, d.notices)
		}
	})
}

func TestOfflineAndAnAppThatIsAdded(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.change()
		d.clicks <- Action{Verb: Offline}
		a.heard(t, "offline true")
		a.change()
		box := d.menu[slices.IndexFunc(d.menu, func(it Item) bool { return it.Do.Verb == Offline })]
		if !box.Checked || !strings.Contains(d.menu[0].Title, "offline") {
			t.Errorf("the menu does not say so: %+v, %+v", box, d.menu[0])
		}
		d.clicks <- box.Do
		a.heard(t, "offline false")

		d.clicks <- Action{Verb: AddFile} // no dialog: the console takes it
		a.heard(t)
		if !slices.Equal(d.opened, []string{"file of add"}) {
			t.Errorf("opened: %v", d.opened)
		}
		d.chosen = "/apps/tool.wasm"
		d.clicks <- Action{Verb: AddFile}
		a.heard(t, "add /apps/tool.wasm")
	})
}

// Details lead to the very question.
func TestDetails(t *testing.T) {
	within(t, func(t *testing.T, a *fakeAgent, d *fakeDesktop) {
		a.prompts = []api.Prompt{question("a", "Connect to x.test"), question("b", "Connect to y.test")}
		a.change()
		d.events <- Event{ID: 2, Key: keyDetails}
		a.heard(t)
		if !slices.Equal(d.opened, []string{"file of request?id=b"}) {
			t.Errorf("opened: %v", d.opened)
		}
	})
}
