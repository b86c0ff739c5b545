package cli

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/consentry/consentry/agent/api"
)

// healthFlags are docker's, as they were typed.
type healthFlags struct {
	command                        string
	interval, timeout, startPeriod time.Duration
	retries                        int
	none                           bool
}

func (h *healthFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&h.command, "health-cmd", "", "`COMMAND` for the app's shell that says whether it is well")
	flags.DurationVar(&h.interval, "health-interval", 0, "time between two checks (default 30s)")
	flags.DurationVar(&h.timeout, "health-timeout", 0, "time that a check may take (default 30s)")
	flags.DurationVar(&h.startPeriod, "health-start-period", 0, "time at the start in which failures do not count")
	flags.IntVar(&h.retries, "health-retries", 0, "failures in a row that make an app unhealthy (default 3)")
	flags.BoolVar(&h.none, "no-healthcheck", false, "do not check, whatever the image says")
}

func (h *healthFlags) check() (*api.HealthCheck, error) {
	set := h.interval != 0 || h.timeout != 0 || h.startPeriod != 0 || h.retries != 0
	switch {
	case h.interval < 0 || h.timeout < 0 || h.startPeriod < 0 || h.retries < 0:
		return nil, badFlag("--health-…", "", "less than nothing", "--health-interval 10s")
	case h.none && (h.command != "" || set):
		return nil, hinted("leave one of them out", errors.New("--no-healthcheck and --health-… exclude each other"))
	case h.command == "" && set:
		return nil, hinted("say what to check: --health-cmd 'curl -f http://localhost:8080'", errors.New("--health-… wants --health-cmd"))
	case h.command == "":
		return nil, nil
	}
	return &api.HealthCheck{
		Command: []string{"/bin/sh", "-c", h.command}, Interval: h.interval, Timeout: h.timeout,
		StartPeriod: h.startPeriod, Retries: h.retries,
	}, nil
}
