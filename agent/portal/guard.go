package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// refusal is why a request does not reach the app, or its answer not the client.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return "consentry: " + r.text }

// admit decides about a request by its head alone; nil lets it in.
func admit(p Port, own *http.CrossOriginProtection, r *http.Request) *refusal {
	switch {
	case r.Method == http.MethodConnect:
		return &refusal{http.StatusMethodNotAllowed, "this is no proxy"}
	case !slices.Contains(p.names(), strings.ToLower(r.Host)):
		return &refusal{http.StatusMisdirectedRequest, fmt.Sprintf(
			"this port belongs to an app and answers at %s only", strings.Join(p.names(), ", "))}
	case own.Check(asChange(r)) != nil:
		return &refusal{http.StatusForbidden, "another site may not do this"}
	case p.Policy == Enforce && r.Header.Get("Service-Worker") != "":
		return &refusal{http.StatusForbidden, "service workers are refused on this port: they can answer pages without the Content-Security-Policy; publish it with --csp off to allow them"}
	}
	return nil
}

// asChange is r as the cross-origin check has to see it. A WebSocket is opened
// by GET, which the check always lets pass, and no browser asks the server
// first whether another site may (CVE-2018-1270 and many like it).
func asChange(r *http.Request) *http.Request {
	if !isUpgrade(r.Header) {
		return r
	}
	as := r.Clone(r.Context())
	as.Method = http.MethodPost
	return as
}

func isUpgrade(h http.Header) bool { return h.Get("Upgrade") != "" }
