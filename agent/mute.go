package agent

import (
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

func (a *Agent) muteApp(w http.ResponseWriter, r *http.Request) error {
	var req api.MuteRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	which, _, err := a.appByName(req.App)
	if err != nil {
		return err
	}
	if req.Undo {
		gone, err := a.engine.AskAgain(r.Context(), which.ID())
		if err != nil {
			return err
		}
		return ok(w, rulesToAPI(gone))
	}
	rule, err := a.engine.StopAsking(r.Context(), which, req.By)
	if err != nil {
		return err
	}
	return ok(w, rulesToAPI([]consent.Rule{rule}))
}
