package agent

import (
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/userdata"
)

// dataCalls are those of package api, userdata.go.
func (a *Agent) dataCalls() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/profile":            a.getProfile,
		"PUT /v1/profile":            a.setProfile,
		"GET /v1/accounts":           a.listAccounts,
		"POST /v1/accounts":          a.addAccount,
		"DELETE /v1/accounts/{name}": a.removeAccount,
		"GET /v1/secrets":            a.listSecrets,
		"PUT /v1/secrets":            a.setSecret,
		"DELETE /v1/secrets/{name}":  a.removeSecret,
	}
}

// dataChanged ends every answer that is kept: what the user changed counts from
// the next question.
func (a *Agent) dataChanged() {
	for _, r := range a.list() {
		if _, l := r.snapshot(); l != nil {
			l.leases.endAll()
		}
	}
}

func (a *Agent) getProfile(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, a.data.Profile.Values())
}

func (a *Agent) setProfile(w http.ResponseWriter, r *http.Request) error {
	var change map[string]string
	if err := readBody(r, &change); err != nil {
		return err
	}
	if err := a.data.Profile.Set(change); err != nil {
		return err
	}
	a.dataChanged()
	return ok(w, a.data.Profile.Values())
}

func (a *Agent) listAccounts(w http.ResponseWriter, _ *http.Request) error {
	list := []api.Account{}
	for _, account := range a.data.Accounts.List() {
		list = append(list, api.Account(account))
	}
	return ok(w, list)
}

func (a *Agent) addAccount(w http.ResponseWriter, r *http.Request) error {
	var req api.NewAccount
	if err := readBody(r, &req); err != nil {
		return err
	}
	records, err := a.data.Accounts.Add(r.Context(), userdata.Account(req.Account), req.Password)
	if err != nil {
		return badAccount(err)
	}
	a.dataChanged()
	return ok(w, api.AddedAccount{Records: records})
}

// badAccount is about what the user typed, or a server of the user's.
func badAccount(err error) error {
	e := asAPIError(err)
	if e.Code == "internal" {
		e = &api.Error{Code: "account", Message: err.Error(), Hint: "nothing was kept: look at the address, the user and the password", Status: http.StatusBadGateway}
	}
	return e
}

func (a *Agent) removeAccount(w http.ResponseWriter, r *http.Request) error {
	if err := a.data.Accounts.Remove(r.PathValue("name")); err != nil {
		return err
	}
	a.dataChanged()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Agent) listSecrets(w http.ResponseWriter, _ *http.Request) error {
	list := []api.Secret{}
	for _, secret := range a.data.Secrets.List() {
		list = append(list, api.Secret(secret))
	}
	return ok(w, list)
}

func (a *Agent) setSecret(w http.ResponseWriter, r *http.Request) error {
	var req api.NewSecret
	if err := readBody(r, &req); err != nil {
		return err
	}
	if err := a.data.Secrets.Set(userdata.Secret(req.Secret), req.Value); err != nil {
		return err
	}
	a.dataChanged()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Agent) removeSecret(w http.ResponseWriter, r *http.Request) error {
	if err := a.data.Secrets.Remove(r.PathValue("name")); err != nil {
		return err
	}
	a.dataChanged()
	w.WriteHeader(http.StatusNoContent)
	return nil
}
