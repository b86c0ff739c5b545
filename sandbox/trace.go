package sandbox

import (
	"context"
	"time"
)

// Tracer tells what an app touches, while somebody looks.
type Tracer interface {
	// Trace calls see for every call of the app that its host judges, and for
	// denials that came shortly before, until ctx ends or see fails.
	Trace(ctx context.Context, see func(TraceEvent) error) error
}

// RefusalTracer tells what an app was refused, which costs the app nothing.
type RefusalTracer interface {
	// Refusals calls see for every denial until the app has ended.
	Refusals(ctx context.Context, see func(TraceEvent) error) error
}

// TraceEvent is one call of an app, as a wall judged it.
type TraceEvent struct {
	Time   time.Time `json:"time"`
	Wall   string    `json:"wall,omitempty"` // "lsm", "cgroup"
	Call   string    `json:"call,omitempty"` // "open", "connect", …
	Denied bool      `json:"denied,omitempty"`
	PID    uint32    `json:"pid,omitempty"`    // on the host
	Comm   string    `json:"comm,omitempty"`   // name of the thread: the app's own word
	Detail string    `json:"detail,omitempty"` // the object
	// Lost counts events that could not be told before this one. Verdicts do
	// not depend on them.
	Lost uint64 `json:"lost,omitempty"`
	// Note is a word of the host's own, such as what is not seen here.
	Note string `json:"note,omitempty"`
}
