package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// TestLookupsAreCheckedAgain: a worker must not ask about another name than the
// one that the user sees.
func TestLookupsAreCheckedAgain(t *testing.T) {
	for _, c := range []struct{ host, service, want string }{
		{"example.com", "", "example.com"},
		{"example.com", "_sip._tcp", "_sip._tcp.example.com"},
		{"Example.com", "", ""},
		{"example.com.", "", ""},
		{"1.2.3.4", "", ""},
		{"localhost", "", ""},
		{"example.com", "secret", ""},
		{"example.com", "_a.b", ""},
		{"example.com", "_a\x00", ""},
		{"example.com", "_", ""},
		{"example.com", strings.Repeat("_aaaaaaaa.", 30) + "_a", ""},
	} {
		got, err := checkLookup(sandbox.Lookup{Host: c.host, Service: c.service, Type: "TXT"})
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%q below %q: %q, %v", c.service, c.host, got, err)
		}
	}
}
