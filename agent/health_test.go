package agent

import (
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/agent/api"
)

func TestWhichHealthCheckApplies(t *testing.T) {
	image := &v1.HealthConfig{Test: []string{"CMD-SHELL", "curl -f localhost"}, Interval: time.Second, Retries: 7}
	mine := &api.HealthCheck{Command: []string{"mine"}}
	for name, c := range map[string]struct {
		req     api.RunRequest
		image   *v1.HealthConfig
		command []string // nil for no check
	}{
		"nobody says anything": {api.RunRequest{}, nil, nil},
		"the image's":          {api.RunRequest{}, image, []string{"/bin/sh", "-c", "curl -f localhost"}},
		"the user's":           {api.RunRequest{Health: mine}, image, []string{"mine"}},
		"none, says the user":  {api.RunRequest{NoHealth: true}, image, nil},
		"none, says the image": {api.RunRequest{}, &v1.HealthConfig{Test: []string{"NONE"}}, nil},
		"inherited":            {api.RunRequest{}, &v1.HealthConfig{}, nil},
		"without a shell":      {api.RunRequest{}, &v1.HealthConfig{Test: []string{"CMD", "/check", "-v"}}, []string{"/check", "-v"}},
		"malformed":            {api.RunRequest{}, &v1.HealthConfig{Test: []string{"CMD-SHELL", "a", "b"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := healthCheck(c.req, c.image)
			switch {
			case (got == nil) != (c.command == nil):
				t.Fatalf("%+v", got)
			case got == nil:
			case !slices.Equal(got.Command, c.command) || got.Interval <= 0 || got.Timeout <= 0 || got.Retries <= 0:
				t.Fatalf("%+v", got)
			}
		})
	}
}

func TestHealthIsJudgedInARow(t *testing.T) {
	check := api.HealthCheck{StartPeriod: 10 * time.Second, Retries: 2}
	h := api.Health{Status: api.HealthStarting}
	for i, step := range []struct {
		code    int
		age     time.Duration
		status  string
		failing int
	}{
		{1, time.Second, api.HealthStarting, 0}, // in the start period
		{1, 11 * time.Second, api.HealthStarting, 1},
		{1, 12 * time.Second, api.Unhealthy, 2},
		{0, 13 * time.Second, api.Healthy, 0},
		{1, 14 * time.Second, api.Healthy, 1},
		{0, 15 * time.Second, api.Healthy, 0},
		{1, 5 * time.Second, api.Healthy, 1}, // once healthy, the start is over
		{124, 16 * time.Second, api.Unhealthy, 2},
	} {
		h = judge(h, check, api.HealthProbe{Code: step.code}, step.age)
		if h.Status != step.status || h.Failing != step.failing || h.Last.Code != step.code {
			t.Fatalf("step %d: %+v", i, h)
		}
	}
}
