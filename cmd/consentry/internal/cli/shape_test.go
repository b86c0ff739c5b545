package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShapeFlags(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags       shapeFlags
		text, words string
	}{
		{shapeFlags{}, "", ""},
		{shapeFlags{only: []string{"Grace", "alan@example.org"}}, `{"only":["Grace","alan@example.org"]}`, " (only Grace, alan@example.org)"},
		{shapeFlags{only: []string{"./a.txt"}}, `{"only":["` + filepath.Join(here, "a.txt") + `"]}`, " (only " + filepath.Join(here, "a.txt") + ")"},
		{shapeFlags{say: []string{"email=a=b"}, redact: []string{"name"}, madeUp: []string{"locale"}},
			`{"say":{"email":"a=b"},"redact":["name"],"madeUp":["locale"]}`, " (other email; redacted name; made up locale)"},
		{shapeFlags{from: "2026-12-01T00:00:00Z", to: "2026-12-24T00:00:00+01:00"}, `{"from":"2026-12-01T00:00:00Z","to":"2026-12-23T23:00:00Z"}`, ""},
	} {
		text, err := c.flags.text()
		if err != nil || text != c.text {
			t.Errorf("%+v: %s, %v", c.flags, text, err)
		}
		if words := shapeWords(text); c.words != "" && words != c.words {
			t.Errorf("%s: %s", text, words)
		}
	}
	for _, bad := range []shapeFlags{{say: []string{"email"}}, {from: "tomorrow"}, {to: "2026-13-01"}} {
		if text, err := bad.text(); err == nil {
			t.Errorf("%+v was taken: %s", bad, text)
		}
	}
	// A whole day is in the range that ends with it.
	text, err := (&shapeFlags{from: "2026-12-01", to: "2026-12-01"}).text()
	if err != nil || !strings.Contains(text, "from") || !strings.Contains(text, "to") {
		t.Errorf("%s, %v", text, err)
	}
}
