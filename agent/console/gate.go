package console

import (
	"net/http"
	"strings"
)

// The policy of every page: nothing from elsewhere, nothing inline, no frame
// around it.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guardHeaders are set on every answer. Of the referrer only our own pages see
// anything; with no-referrer browsers would send "Origin: null" with our forms.
var guardHeaders = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Cache-Control":                "no-store",
}

// refusal is why a request gets nothing.
type refusal struct {
	status int
	text   string
}

// admit decides about a request by its head alone; nil lets it in. host is the
// one name that this console has; entering says that the request brings a
// token, which proves by itself that it was meant.
func admit(r *http.Request, host string, entering bool) *refusal {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	own := origin == "http://"+host
	switch {
	case r.Host != host: // DNS rebinding
		return &refusal{http.StatusMisdirectedRequest, "this console has another name"}
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return &refusal{http.StatusMethodNotAllowed, "GET and POST only"}
	case entering && r.Method == http.MethodPost && (own || origin == "null"): // the file has no origin
		return nil
	case origin != "" && !own:
		return &refusal{http.StatusForbidden, "pages of another origin get nothing here"}
	case site != "" && site != "same-origin" && site != "none":
		return &refusal{http.StatusForbidden, "pages of another site get nothing here; run: consentry console"}
	case r.Method == http.MethodPost && !own:
		return &refusal{http.StatusForbidden, "a change comes from a page of this console"}
	}
	return nil
}

// pageOf checks where a way in leads: to one of our pages, by no detour.
func pageOf(page string) (string, bool) {
	name, query, _ := strings.Cut(page, "?")
	switch name {
	case "", "apps", "flows", "log", "system", "add":
		return name, query == ""
	case "app":
		return page, strings.HasPrefix(query, "ref=")
	case "review", "request":
		return page, strings.HasPrefix(query, "id=")
	}
	return "", false
}
