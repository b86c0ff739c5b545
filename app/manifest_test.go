package app

import (
	"encoding/json"
	"strings"
	"testing"
)

// What encoding/json alone would let through, and what JSON Schema cannot say.
// The rest is in sdk, beside the schema.
func TestManifestsThatCanBeReadInTwoWays(t *testing.T) {
	for name, raw := range map[string]string{
		"two targets":         `{"version":1,"rights":[{"kind":"notify","target":"*","reason":"r","target":"x"}]}`,
		"two lists of rights": `{"version":1,"rights":[],"rights":[{"kind":"notify","target":"*","reason":"r"}]}`,
		"text after":          `{"version":1,"rights":[]} {}`,
		"a brace after":       `{"version":1,"rights":[]}}`,
		"a bracket after":     `{"version":1,"rights":[]}]`,
		"a fraction":          `{"version":1.5,"rights":[]}`,
		"not UTF-8":           "{\"version\":1,\"name\":\"\xff\",\"rights\":[]}",
		"nothing":             ``,
		"half":                `{"version":1,"rights":[`,
		"too long":            `{"version":1,"rights":[]}` + strings.Repeat(" ", MaxManifest),
		"too deep":            strings.Repeat("[", 50_000),
	} {
		if m, err := ParseManifest([]byte(raw)); err == nil {
			t.Errorf("%s: taken as %+v", name, m)
		}
	}
}

// FuzzParseManifest wants what was taken to be taken again, the same, after it
// was written.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"name":"n","rights":[{"kind":"net.connect","target":"tcp/a.b:443","reason":"r","without":"w"}],"ports":[{"port":80,"label":"l","http":true}]}`))
	f.Add([]byte(`{"version":1,"rights":[],"rights":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			if m != nil {
				t.Fatal("a manifest beside an error")
			}
			return
		}
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(written) > MaxManifest { // escapes are longer
			return
		}
		again, err := ParseManifest(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if twice, _ := json.Marshal(again); string(twice) != string(written) {
			t.Fatalf("%s became %s", written, twice)
		}
	})
}
