package clienttest

import (
	"io"
	"net/http"
	"strconv"

	"github.com/consentry/consentry/agent/api"
)

func (a *Agent) alert(w http.ResponseWriter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.damaged {
		w.Header().Set(api.AlertHeader, strconv.QuoteToASCII("the consent store is damaged, everything is denied: the rules are not the ones that were saved"))
	}
}

func (a *Agent) resetStore(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.damaged {
		return nil, &api.Error{Code: "sound", Message: "the consent store is not damaged", Status: http.StatusConflict}
	}
	a.damaged = false
	return api.Reset{Kept: "/var/lib/consentry/consent/damaged-20261124-120000"}, nil
}

// export breaks off in the middle once the ledger is broken.
func (a *Agent) export(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, `{"form":"`+r.FormValue("form")+`"`)
	a.mu.Lock()
	broken := a.broken
	a.mu.Unlock()
	if broken {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "}\n")
}
