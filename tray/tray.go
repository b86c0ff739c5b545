package tray

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/internal/autostart"
)

// Agent is what the tray needs of the agent's client.
type Agent interface {
	News(context.Context) iter.Seq2[api.News, error]
	Requests(context.Context) ([]api.Prompt, error)
	Reviews(context.Context) ([]api.Review, error)
	Runs(ctx context.Context, all bool) ([]api.Run, error)
	Grants(ctx context.Context, app string) ([]api.Grant, error)
	Alert() string

	Answer(ctx context.Context, id string, a api.AnswerRequest) error
	Offline(context.Context) (bool, error)
	SetOffline(context.Context, api.Offline) error

	Launch(ctx context.Context, ref string) error
	Add(ctx context.Context, source string) error
	Stop(ctx context.Context, ref string, grace time.Duration) error
	Pause(ctx context.Context, ref string) error
	Unpause(ctx context.Context, ref string) error
	Mute(context.Context, api.MuteRequest) ([]api.Grant, error)
	Revoke(ctx context.Context, id string) ([]api.Grant, error)
	Console(context.Context, api.ConsoleRequest) (api.Console, error)
}

// Panel is the icon with its menu. Show replaces both; clicks come by the
// channel, which is closed when the panel has gone.
type Panel interface {
	Show(mood Mood, tooltip string, menu []Item)
	Clicks() <-chan Action
	Close()
}

// Notifier shows notifications. Events come by the channel, which is closed
// when the service has gone.
type Notifier interface {
	// Show shows a notification, in place of the one with the id replaces, if
	// that is not 0.
	Show(n Notice, replaces uint32) (id uint32, err error)
	Withdraw(id uint32) error
	Events() <-chan Event
	Close()
}

// Event is what became of a notification: a button was pressed, or, without a
// key, it closed.
type Event struct {
	ID  uint32
	Key string
}

// Desktop is the session that the tray lives in. Panel and Notifier may be nil.
type Desktop struct {
	Panel    Panel
	Notifier Notifier
	// Locked says whether the screen is locked; an error counts as locked.
	Locked func(context.Context) (bool, error)
	// Open opens a file or an address in the user's browser.
	Open func(context.Context, string) error
	// Choose has the user choose a file; "" is none. errNoChooser: there is no
	// dialog for it.
	Choose func(context.Context) (string, error)
	// Login reads and sets whether the tray starts with the session.
	Login autostart.Entry
}

// Config is what a tray is given.
type Config struct {
	Agent   Agent
	Desktop Desktop
	Log     *slog.Logger
	Now     func() time.Time
	Retry   time.Duration // between two tries to reach an agent that is gone; 0: 5 seconds
}

const (
	defaultRetry = 5 * time.Second

	// menuRest is how long a menu that has changed takes no yes: it may have
	// moved under the pointer.
	menuRest = time.Second

	callTime = 20 * time.Second // of one action
	asker    = "tray"           // in answers; a button for the agent
)

// Tray keeps a desktop in step with an agent.
type Tray struct {
	cfg   Config
	state State
	menu  []Item
	since time.Time // when the menu changed
	shown map[string]*shown
	again *time.Timer // when what could not be shown is tried again

	fresh chan State     // from the one who watches the agent
	work  sync.WaitGroup // actions under way
}

// errQuit ends Run by the user's wish.
var errQuit = errors.New("quit")

// Run serves until ctx ends, the user quits, or the session does.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Retry == 0 {
		cfg.Retry = defaultRetry
	}
	t := &Tray{cfg: cfg, shown: map[string]*shown{}, again: time.NewTimer(cfg.Retry), fresh: make(chan State)}
	ctx, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); t.watch(ctx) }()
	err := t.serve(ctx)
	stop()
	<-watched
	t.work.Wait()
	t.again.Stop()
	t.withdrawAll()
	if p := cfg.Desktop.Panel; p != nil {
		p.Close()
	}
	if n := cfg.Desktop.Notifier; n != nil {
		n.Close()
	}
	if errors.Is(err, errQuit) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve is the one goroutine that touches the desktop.
func (t *Tray) serve(ctx context.Context) error {
	var clicks <-chan Action
	var events <-chan Event
	if p := t.cfg.Desktop.Panel; p != nil {
		clicks = p.Clicks()
	}
	if n := t.cfg.Desktop.Notifier; n != nil {
		events = n.Events()
	}
	t.show(State{})
	if clicks == nil && events == nil {
		return errors.New("this desktop has neither a tray nor notifications")
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-t.fresh:
			t.notify(s.Prompts) // first: a menu takes its time
			t.show(s)
		case <-t.again.C:
			t.notify(t.state.Prompts)
		case a, open := <-clicks:
			if !open {
				return errors.New("the desktop's tray has gone")
			}
			if err := t.clicked(ctx, a); err != nil {
				return err
			}
		case e, open := <-events:
			if !open {
				return errors.New("the desktop's session has ended")
			}
			t.pressed(ctx, e)
		}
	}
}

// show brings the panel up to date.
func (t *Tray) show(s State) {
	if on, err := t.cfg.Desktop.Login.On(); err == nil {
		s.AtLogin = on
	}
	menu := MenuOf(s)
	changed := !reflect.DeepEqual(menu, t.menu) || MoodOf(s) != MoodOf(t.state)
	t.state = s
	if !changed {
		return
	}
	t.menu, t.since = menu, t.cfg.Now()
	if t.cfg.Desktop.Panel != nil {
		t.cfg.Desktop.Panel.Show(MoodOf(s), headline(s), menu)
	}
}

// notify brings the notifications up to date.
func (t *Tray) notify(prompts []api.Prompt) {
	n := t.cfg.Desktop.Notifier
	if n == nil {
		return
	}
	p := planOf(t.shown, prompts)
	for _, id := range p.withdraw {
		t.withdraw(id)
	}
	for _, prompt := range p.show {
		t.ask(prompt)
	}
}

// ask shows a question, in place of an older form of it.
func (t *Tray) ask(p api.Prompt) {
	var replaces uint32
	if old := t.shown[p.ID]; old != nil && !old.closed {
		replaces = old.id
	}
	s := &shown{prompt: p, notice: NoticeOf(p)}
	id, err := t.cfg.Desktop.Notifier.Show(s.notice, replaces)
	if err != nil {
		t.cfg.Log.Warn("a question is not shown as a notification", "request", p.ID, "error", err)
		delete(t.shown, p.ID)
		t.again.Reset(t.cfg.Retry)
		return
	}
	s.id = id
	t.shown[p.ID] = s
}

func (t *Tray) withdraw(id string) {
	s := t.shown[id]
	delete(t.shown, id)
	if s == nil || s.closed {
		return
	}
	if err := t.cfg.Desktop.Notifier.Withdraw(s.id); err != nil {
		t.cfg.Log.Debug("withdraw a notification", "error", err) // it has gone already
	}
}

func (t *Tray) withdrawAll() {
	for _, id := range slices.Collect(maps.Keys(t.shown)) {
		t.withdraw(id)
	}
}

// pressed handles what became of a notification. Events of others are not ours.
func (t *Tray) pressed(ctx context.Context, e Event) {
	for _, s := range t.shown {
		if s.id != e.ID || s.closed {
			continue
		}
		if e.Key == "" { // it closed: that is no answer
			s.closed = true
			return
		}
		s.closed = true // most services close what was pressed, here it is certain
		if err := t.cfg.Desktop.Notifier.Withdraw(e.ID); err != nil {
			t.cfg.Log.Debug("close a notification", "error", err)
		}
		a := s.actionOf(e.Key)
		if a.Verb != Answer {
			t.background(ctx, a)
			t.ask(s.prompt) // it still waits
			return
		}
		if err := t.answer(ctx, a); err != nil {
			t.cfg.Log.Warn("an answer by notification does not count", "request", s.prompt.ID, "error", err)
			t.ask(s.prompt)
		}
		return
	}
}

// background carries out what may take a while.
func (t *Tray) background(ctx context.Context, a Action) {
	state := t.state
	t.work.Go(func() {
		if err := t.do(ctx, a, state); err != nil {
			t.cfg.Log.Warn("tray", "action", string(a.Verb), "error", err)
		}
	})
}

// clicked handles a click on the menu.
func (t *Tray) clicked(ctx context.Context, a Action) error {
	switch a.Verb {
	case Quit:
		return errQuit
	case Answer:
		if a.Choice.Verdict == "allow" && t.cfg.Now().Sub(t.since) < menuRest {
			t.cfg.Log.Warn("a click on a menu that had just changed does not count", "request", a.Prompt.ID)
			return nil
		}
		if err := t.answer(ctx, a); err != nil {
			t.cfg.Log.Warn("an answer by the menu does not count", "request", a.Prompt.ID, "error", err)
		}
	case Login:
		if err := t.cfg.Desktop.Login.Set(!t.state.AtLogin); err != nil {
			t.cfg.Log.Warn("start at login", "error", err)
		}
		t.show(t.state) // reads it back
	default:
		t.background(ctx, a)
	}
	return nil
}

// do carries out an action. A launch may wait for the review of a manifest, and
// a dialog for the user; everything else has its time.
func (t *Tray) do(ctx context.Context, a Action, s State) error {
	agent := t.cfg.Agent
	switch a.Verb {
	case Launch:
		return agent.Launch(ctx, a.Run)
	case AddFile:
		file, err := t.cfg.Desktop.Choose(ctx)
		switch {
		case errors.Is(err, errNoChooser):
			return t.do(ctx, Action{Verb: Console, Page: "add"}, s)
		case err != nil || file == "":
			return err
		}
		return agent.Add(ctx, file)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	switch a.Verb {
	case Stop:
		return agent.Stop(ctx, a.Run, -1)
	case Mute, Unmute:
		_, err := agent.Mute(ctx, api.MuteRequest{App: a.App, Undo: a.Verb == Unmute, By: asker})
		return err
	case Revoke:
		_, err := agent.Revoke(ctx, "app:"+a.App)
		return err
	case Offline:
		return agent.SetOffline(ctx, api.Offline{On: !s.Offline, By: asker})
	case PauseAll:
		return each(s.Runs, api.Running, func(id string) error { return agent.Pause(ctx, id) })
	case ResumeAll:
		return each(s.Runs, api.Paused, func(id string) error { return agent.Unpause(ctx, id) })
	case OpenURL:
		return t.cfg.Desktop.Open(ctx, a.Page)
	case Console:
		way, err := agent.Console(ctx, api.ConsoleRequest{Page: a.Page})
		if err != nil {
			return err
		}
		return t.cfg.Desktop.Open(ctx, way.File)
	}
	return nil
}

// answer gives the answer that was pressed. While the screen is locked nobody
// knows who presses, so no yes is given.
func (t *Tray) answer(ctx context.Context, a Action) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if a.Choice.Verdict == "allow" {
		if locked, err := t.cfg.Desktop.Locked(ctx); locked || err != nil {
			return errors.Join(errors.New("the screen is locked"), err)
		}
	}
	c := a.Choice
	return t.cfg.Agent.Answer(ctx, a.Prompt.ID, api.AnswerRequest{
		Nonce: a.Prompt.Nonce, Verdict: c.Verdict, Lifetime: c.Lifetime, For: c.For, Target: c.Target, Everything: c.Everything, Shape: c.Shape, By: asker,
	})
}

// each does something with every run in a state, and joins what went wrong.
func each(runs []api.Run, state api.State, do func(id string) error) error {
	var errs error
	for _, r := range runs {
		if r.State == state {
			errs = errors.Join(errs, do(r.ID))
		}
	}
	return errs
}
