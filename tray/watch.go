package tray

import (
	"context"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// watch follows the agent and hands on its state, until ctx ends. Without an
// agent the state says so, and it is tried again.
func (t *Tray) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := t.follow(ctx)
		lost := State{}
		if err != nil {
			lost.Trouble = err.Error()
		}
		t.hand(ctx, lost)
		timer := time.NewTimer(t.cfg.Retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// follow hands on a state for each piece of news.
func (t *Tray) follow(ctx context.Context) error {
	for _, err := range t.cfg.Agent.News(ctx) {
		if err != nil {
			return err
		}
		s, err := t.look(ctx)
		if err != nil {
			return err
		}
		t.hand(ctx, s)
	}
	return nil
}

func (t *Tray) hand(ctx context.Context, s State) {
	select {
	case t.fresh <- s:
	case <-ctx.Done():
	}
}

// anyKind is the kind of the rule that denies all that no other rule allows.
const anyKind = "*"

// look asks the agent for all that is shown.
func (t *Tray) look(ctx context.Context) (s State, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	agent := t.cfg.Agent
	if s.Prompts, err = agent.Requests(ctx); err != nil {
		return s, err
	}
	if s.Reviews, err = agent.Reviews(ctx); err != nil {
		return s, err
	}
	if s.Runs, err = agent.Runs(ctx, true); err != nil {
		return s, err
	}
	grants, err := agent.Grants(ctx, "")
	if err != nil {
		return s, err
	}
	s.Muted = mutedOf(grants)
	if s.Offline, err = agent.Offline(ctx); err != nil {
		return s, err
	}
	s.Connected, s.Trouble = true, agent.Alert()
	return s, nil
}

func mutedOf(grants []api.Grant) map[string]bool {
	muted := map[string]bool{}
	for _, g := range grants {
		if g.Kind == anyKind {
			muted[g.AppID] = true
		}
	}
	return muted
}
