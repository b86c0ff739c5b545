package fetch

import (
	"net/http"
	"regexp"

	"github.com/consentry/consentry/sandbox"
)

// secretHandle is a handle where it stands in a header.
var secretHandle = regexp.MustCompile(sandbox.HandlePrefix + `[A-Z2-7]{26}`)

// HasHandle says whether there is the form of a handle in a header's value.
func HasHandle(value string) bool { return secretHandle.MatchString(value) }

// revealing puts the values of secrets into headers where the app wrote their
// handles. It stands behind the redirects: what a redirect copies is the
// handle, and the value is asked for anew for each origin.
type revealing struct {
	http.RoundTripper
	broker sandbox.Broker
}

func (t revealing) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent *http.Request
	for name, values := range req.Header {
		for i, value := range values {
			if !secretHandle.MatchString(value) {
				continue
			}
			if sent == nil {
				sent = req.Clone(req.Context())
			}
			revealed, err := t.reveal(req, value)
			if err != nil {
				return nil, err
			}
			sent.Header[name][i] = revealed
		}
	}
	if sent == nil {
		sent = req
	}
	return t.RoundTripper.RoundTrip(sent)
}

func (t revealing) reveal(req *http.Request, value string) (string, error) {
	revealer, can := t.broker.(sandbox.Revealer)
	if !can {
		return "", sandbox.ErrDenied
	}
	var failed error
	revealed := secretHandle.ReplaceAllStringFunc(value, func(handle string) string {
		secret, err := revealer.Reveal(req.Context(), sandbox.SecretFor{Handle: handle, Origin: origin(req.URL)})
		if err != nil {
			failed = err
		}
		return secret
	})
	return revealed, failed
}
