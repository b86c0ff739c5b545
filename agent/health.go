package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// healthCheck is what applies to a run: the user's words over the image's.
func healthCheck(req api.RunRequest, image *v1.HealthConfig) *api.HealthCheck {
	switch {
	case req.NoHealth:
		return nil
	case req.Health != nil && len(req.Health.Command) > 0:
		return withHealthDefaults(*req.Health)
	case image == nil:
		return nil
	}
	command, isCheck := healthCommand(image.Test)
	if !isCheck {
		return nil
	}
	return withHealthDefaults(api.HealthCheck{
		Command: command, Interval: image.Interval, Timeout: image.Timeout, StartPeriod: image.StartPeriod, Retries: image.Retries,
	})
}

// healthCommand reads an image's Test: {"NONE"}, {"CMD", args…} or
// {"CMD-SHELL", line} (Docker image specification 1.2).
func healthCommand(test []string) (command []string, isCheck bool) {
	switch {
	case len(test) > 1 && test[0] == "CMD":
		return test[1:], true
	case len(test) == 2 && test[0] == "CMD-SHELL":
		return []string{"/bin/sh", "-c", test[1]}, true
	}
	return nil, false
}

const (
	healthInterval = 30 * time.Second
	healthRetries  = 3
	leastInterval  = 100 * time.Millisecond
)

func withHealthDefaults(h api.HealthCheck) *api.HealthCheck {
	if h.Interval <= 0 {
		h.Interval = healthInterval
	}
	if h.Timeout <= 0 {
		h.Timeout = healthInterval
	}
	if h.Retries <= 0 {
		h.Retries = healthRetries
	}
	h.Interval = max(h.Interval, leastInterval)
	return &h
}

// judge is the state of health after one more probe.
func judge(h api.Health, check api.HealthCheck, probe api.HealthProbe, age time.Duration) api.Health {
	h.Last = &probe
	if probe.Code == 0 {
		h.Status, h.Failing = api.Healthy, 0
		return h
	}
	if h.Status == api.HealthStarting && age < check.StartPeriod {
		return h
	}
	h.Failing++
	if h.Failing >= check.Retries {
		h.Status = api.Unhealthy
	}
	return h
}

// health is the state of a live run's health.
type health struct {
	mu  sync.Mutex
	now *api.Health // nil without a check
}

func (h *health) get() *api.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil {
		return nil
	}
	now := *h.now
	return &now
}

func (h *health) set(now api.Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = &now
}

// watchHealth probes until the run ends. A paused app is not asked.
func (l *live) watchHealth(check api.HealthCheck) {
	execer, can := l.instance.(sandbox.Execer)
	if !can {
		return
	}
	now, began := api.Health{Status: api.HealthStarting}, l.agent.cfg.Now()
	l.health.set(now)
	pause := time.NewTimer(check.Interval)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-l.ctx.Done():
			return
		}
		probe, err := l.probe(execer, check)
		if err == nil {
			now = judge(now, check, probe, l.agent.cfg.Now().Sub(began))
			l.health.set(now)
		} else if !errors.Is(err, sandbox.ErrInvalid) { // that is a pause
			l.agent.cfg.Log.Warn("health check", "run", l.rec.ID, "error", err)
		}
		pause.Reset(check.Interval)
	}
}

const (
	maxHealthOutput  = 4096 // bytes that are kept of one probe
	healthCodeTimout = 124  // as timeout(1)
)

// probe runs the command once, as the app's user.
func (l *live) probe(execer sandbox.Execer, check api.HealthCheck) (api.HealthProbe, error) {
	ctx, cancel := context.WithTimeout(l.ctx, check.Timeout)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return api.HealthProbe{}, err
	}
	text := make(chan string, 1)
	go func() {
		defer r.Close()
		var kept bytes.Buffer
		//nolint:errcheck // what came is shown
		io.Copy(&kept, io.LimitReader(r, maxHealthOutput))
		text <- strings.ToValidUTF8(kept.String(), "?")
		//nolint:errcheck // so that the command does not wait for a reader
		io.Copy(io.Discard, r)
	}()
	process := l.rec.Spec.Process
	process.Args, process.Terminal, process.Stdio = check.Command, false, [3]*os.File{nil, w, nil}
	probe := api.HealthProbe{Time: l.agent.cfg.Now()}
	running, err := execer.Exec(ctx, process)
	if err != nil {
		return probe, err
	}
	exit, err := running.Wait(ctx)
	if l.ctx.Err() == nil && ctx.Err() != nil {
		running.Signal(l.ctx, sandbox.SIGKILL) //nolint:errcheck // it may have ended
		probe.Code, probe.Output = healthCodeTimout, fmt.Sprintf("no answer within %s", check.Timeout)
		return probe, nil
	}
	if err != nil {
		return probe, err
	}
	probe.Code = exit.Code
	select {
	case probe.Output = <-text:
	case <-ctx.Done(): // something it left behind holds the pipe
	}
	return probe, nil
}
