package agent

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// restartPolicy says when a run that has ended is started again.
type restartPolicy struct {
	when string // "" is never
	most int    // with onFailure: 0 is without end
}

const (
	onFailure     = "on-failure"
	always        = "always"
	unlessStopped = "unless-stopped"
)

// parseRestart takes what docker's --restart takes.
func parseRestart(text string) (restartPolicy, error) {
	when, count, counted := strings.Cut(text, ":")
	most, err := strconv.Atoi(count)
	switch {
	case when == onFailure && counted && err == nil && most > 0:
		return restartPolicy{onFailure, most}, nil
	case counted:
	case when == "" || when == "no":
		return restartPolicy{}, nil
	case when == onFailure || when == always || when == unlessStopped:
		return restartPolicy{when: when}, nil
	}
	return restartPolicy{}, invalid("restart policy %q: there are no, on-failure, on-failure:N, always and unless-stopped", text)
}

// again decides after an end: times is how often it was restarted in a row.
func (p restartPolicy) again(exit sandbox.Exit, byUser bool, times int) bool {
	switch {
	case byUser || p.when == "":
		return false
	case p.when == onFailure:
		return exit.Code != 0 && (p.most == 0 || times < p.most)
	}
	return true
}

// atStart decides when the agent starts: what the user stopped stays stopped,
// with "always" too unless it ended by itself.
func (p restartPolicy) atStart(byUser bool) bool {
	return !byUser && (p.when == always || p.when == unlessStopped)
}

// Bounds of the wait before a restart; it doubles each time.
const (
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = time.Minute
	// settled is how long an app must have run for its restarts to be forgotten.
	settled = 10 * time.Second
)

func backoff(times int) time.Duration {
	if times > 10 {
		return mostBackoff
	}
	return min(firstBackoff<<max(times, 0), mostBackoff)
}

// planRestart is called under startMu when a run has ended.
func (r *run) planRestart(exit sandbox.Exit) {
	rec, _ := r.snapshot()
	policy, err := parseRestart(rec.Request.Restart)
	if rec.Ended.Sub(rec.Started) >= settled {
		rec.Restarts = 0
	}
	if err != nil || r.agent.isClosing() || !policy.again(exit, rec.Stopped, rec.Restarts) {
		return
	}
	wait := backoff(rec.Restarts)
	if err := r.move(evRetry, func(to *record) { to.Restarts = rec.Restarts + 1 }); err != nil {
		r.agent.cfg.Log.Error("restart", "run", rec.ID, "error", err)
		return
	}
	r.agent.work.Go(func() { r.restartAfter(wait) })
}

// restartAfter starts the run again unless it was given up meanwhile.
func (r *run) restartAfter(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.agent.closing:
		r.giveUp()
		return
	}
	if rec, _ := r.snapshot(); rec.State != api.Restarting || !r.agent.knows(r) {
		return
	}
	if err := r.start(r.agent.ctx, nil); err != nil {
		r.agent.cfg.Log.Error("restart", "run", r.rec.ID, "error", fmt.Sprint(err))
	}
}

// giveUp ends the wait for a restart.
func (r *run) giveUp() bool {
	rec, _ := r.snapshot()
	return rec.State == api.Restarting && r.move(evExit, nil) == nil
}

// startKept starts what is to run whenever the agent does.
func (a *Agent) startKept() {
	for _, r := range a.list() {
		rec, _ := r.snapshot()
		policy, err := parseRestart(rec.Request.Restart)
		if err != nil || rec.State == api.Created || !policy.atStart(rec.Stopped) {
			continue
		}
		a.work.Go(func() {
			if err := r.start(a.ctx, nil); err != nil {
				a.cfg.Log.Error("start at the agent's start", "run", rec.ID, "error", err)
			}
		})
	}
}

func (a *Agent) isClosing() bool {
	select {
	case <-a.closing:
		return true
	default:
		return false
	}
}

// knows says whether r was not removed.
func (a *Agent) knows(r *run) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.runs[r.rec.ID] == r
}
