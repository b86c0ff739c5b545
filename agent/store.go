package agent

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

const (
	hintDamaged  = "see what is wrong with: consentry doctor; begin anew, with the old files kept, with: consentry doctor --reset-store"
	hintKeychain = "unlock the keychain of your desktop, end the agent and try again; consentry doctor says which keychain it is"
)

// alerting has every answer say when everything is denied.
func (a *Agent) alerting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.engine.Health(); err != nil {
			w.Header().Set(api.AlertHeader, strconv.QuoteToASCII(err.Error()))
		}
		next.ServeHTTP(w, r)
	})
}

// resetStore puts a damaged store aside. The engine cannot change its store
// under open requests, so the agent ends; the next command starts it again.
func (a *Agent) resetStore(w http.ResponseWriter, _ *http.Request) error {
	health := a.engine.Health()
	if !errors.Is(health, consent.ErrDamaged) {
		return &api.Error{
			Code: "sound", Message: "the consent store is not damaged", Status: statusConflict,
			Hint: "take every grant back with: consentry revoke --all",
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.over:
		return &api.Error{Code: "ending", Message: "the agent is ending", Hint: "try again", Status: statusConflict}
	default:
	}
	kept, err := consent.Reset(a.consentDir(), a.keys.Keychain, a.cfg.Now())
	if err != nil {
		return err
	}
	a.cfg.Log.Warn("the consent store was put aside", "kept", kept, "was", health)
	close(a.over)
	return ok(w, api.Reset{Kept: kept})
}

// ledgerQuery reads what chooses lines.
func ledgerQuery(r *http.Request) (consent.Query, error) {
	q := r.URL.Query()
	query := consent.Query{App: q.Get("app"), Run: q.Get("run"), Kind: q.Get("kind")}
	if text := q.Get("since"); text != "" {
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return query, invalid("since %q is not a time (RFC 3339)", text)
		}
		query.Since = since
	}
	if text := q.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 0 {
			return query, invalid("limit %q is not a number", text)
		}
		query.Limit = limit
	}
	return query, nil
}

func (a *Agent) exportLedger(w http.ResponseWriter, r *http.Request) error {
	query, err := ledgerQuery(r)
	if err != nil {
		return err
	}
	switch form := r.URL.Query().Get("form"); form {
	case api.FormReceipts:
		receipts, err := a.engine.Receipts(r.Context(), query)
		if err != nil {
			return err
		}
		return ok(w, receipts)
	case api.FormChain:
		if query != (consent.Query{}) {
			return invalid("a chain is exported whole: what is left out cannot be proved")
		}
		return a.exportChain(w, r)
	default:
		return invalid("form %q: use %s or %s", form, api.FormReceipts, api.FormChain)
	}
}

// exportChain breaks the connection at an error in the middle; the part then
// has no end, and the client an error.
func (a *Agent) exportChain(w http.ResponseWriter, r *http.Request) error {
	if err := a.engine.Health(); errors.Is(err, consent.ErrDamaged) || errors.Is(err, consent.ErrKeychain) {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := a.engine.Export(r.Context(), w); err != nil {
		a.cfg.Log.Error("ledger not exported", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// ledgerPoll is how often a follower of the ledger looks for new lines.
const ledgerPoll = 200 * time.Millisecond

func (a *Agent) getLedger(w http.ResponseWriter, r *http.Request) error {
	query, err := ledgerQuery(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(flushing{w})
	for {
		batch, err := a.engine.Log(r.Context(), query)
		if err != nil {
			return err
		}
		for _, line := range batch {
			if err := lines.Encode(lineToAPI(line)); err != nil {
				return nil //nolint:nilerr // the client has gone
			}
			query.After = line.Seq
		}
		if r.URL.Query().Get("follow") == "" {
			return nil
		}
		select {
		case <-time.After(ledgerPoll):
		case <-r.Context().Done():
			return nil
		}
	}
}

func (a *Agent) verifyLedger(w http.ResponseWriter, r *http.Request) error {
	lines, err := a.engine.VerifyLog(r.Context())
	v := api.Verified{OK: err == nil, Lines: lines}
	if err != nil {
		v.Detail = err.Error()
	}
	return ok(w, v)
}
