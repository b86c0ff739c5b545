package agent

import (
	"encoding/json"
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// traceRun streams what an app touches until the client leaves or the app ends.
func (a *Agent) traceRun(w http.ResponseWriter, r *http.Request) error {
	run, err := a.find(r.PathValue("ref"))
	if err != nil {
		return err
	}
	rec, l := run.snapshot()
	if l == nil {
		return notRunning(rec.Name)
	}
	tracer, ok := l.instance.(sandbox.Tracer)
	if !ok {
		return &api.Error{
			Code: "unsupported", Message: "what " + rec.Name + " touches cannot be traced: nothing in the kernel judges it", Status: statusConflict,
			Hint: "what it asked for and got is in: consentry log --app " + rec.Name,
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := flushing{w}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	lines := json.NewEncoder(out)
	if err := tracer.Trace(r.Context(), func(e sandbox.TraceEvent) error { return lines.Encode(api.TraceLine(e)) }); err != nil {
		a.cfg.Log.Debug("trace ended", "run", rec.ID, "error", err)
	}
	return nil
}
