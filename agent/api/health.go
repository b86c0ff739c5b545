package api

import "time"

// HealthCheck is a command that the agent runs inside an app from time to time.
// Zero values are docker's defaults.
type HealthCheck struct {
	Command     []string      `json:"command"`
	Interval    time.Duration `json:"interval,omitempty"`    // 30 s
	Timeout     time.Duration `json:"timeout,omitempty"`     // 30 s
	StartPeriod time.Duration `json:"startPeriod,omitempty"` // failures in it do not count
	Retries     int           `json:"retries,omitempty"`     // 3: so many failures in a row are ill health
}

// Health is what the checks found.
type Health struct {
	Status  string       `json:"status"` // "starting", "healthy", "unhealthy"
	Failing int          `json:"failing"`
	Last    *HealthProbe `json:"last,omitempty"`
}

// The states of health.
const (
	HealthStarting = "starting"
	Healthy        = "healthy"
	Unhealthy      = "unhealthy"
)

// HealthProbe is one run of the command.
type HealthProbe struct {
	Time   time.Time `json:"time"`
	Code   int       `json:"code"`
	Output string    `json:"output"` // its beginning
}
