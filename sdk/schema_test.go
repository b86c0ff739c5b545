package sdk

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/consentry/consentry/app"
)

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// takes says whether the schema takes raw.
func takes(s *jsonschema.Schema, raw []byte) bool {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	return err == nil && s.Validate(v) == nil
}

const head = `{"version":1,"rights":[`

func right(kind, target, reason string) string {
	return fmt.Sprintf(head+`{"kind":%q,"target":%q,"reason":%q}]}`, kind, target, reason)
}

func rights(n int) string {
	one := `{"kind":"notify","target":"*","reason":"r"}`
	return head + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]}"
}

func ports(list string) string { return `{"version":1,"rights":[],"ports":[` + list + `]}` }

var samples = []struct {
	name string
	raw  string
	good bool
}{
	{"empty list", head + "]}", true},
	{"with $schema and name", `{"$schema":"x","version":1,"name":"n","rights":[]}`, true},
	{"all members", head + `{"kind":"data.identity","target":"email,name?","reason":"r","without":"w"}],"ports":[{"port":80,"label":"l","http":true}]}`, true},
	{"programs of the image", `{"version":1,"rights":[],"exec":"image"}`, true},
	{"programs of somewhere else", `{"version":1,"rights":[],"exec":"any"}`, false},
	{"no word for programs", `{"version":1,"rights":[],"exec":""}`, true},
	{"connect", right("net.connect", "tcp/a.example:443", "r"), true},
	{"listen", right("net.listen", "8080", "r"), true},
	{"read", right("file.read", "docs", "r"), true},
	{"write", right("file.write", "docs/x", "r"), true},
	{"url", right("url.open", "https://a.example", "r"), true},
	{"notify", right("notify", "*", "r"), true},
	{"secret", right("secret.use", "token", "r"), true},
	{"data with digits", right("data.x-1_y", "f", "r"), true},
	{"200 rights", rights(200), true},
	{"500 characters of more than a byte", right("notify", "*", strings.Repeat("é", 500)), true},
	{"smallest port", ports(`{"port":1}`), true},
	{"largest port", ports(`{"port":65535}`), true},
	{"space around", " \n" + head + "]}\n", true},

	{"no version", `{"rights":[]}`, false},
	{"no rights", `{"version":1}`, false},
	{"version 2", `{"version":2,"rights":[]}`, false},
	{"version as text", `{"version":"1","rights":[]}`, false},
	{"a list", `[]`, false},
	{"null", `null`, false},
	{"rights null", `{"version":1,"rights":null}`, false},
	{"rights an object", `{"version":1,"rights":{}}`, false},
	{"a right null", head + `null]}`, false},
	{"a right a list", head + `[]]}`, false},
	{"unknown member", `{"version":1,"rights":[],"right":[]}`, false},
	{"upper case member", `{"Version":1,"rights":[]}`, false},
	{"unknown member of a right", head + `{"kind":"notify","target":"*","reason":"r","resaon":"x"}]}`, false},
	{"upper case member of a right", head + `{"Kind":"notify","target":"*","reason":"r"}]}`, false},
	{"no kind", head + `{"target":"*","reason":"r"}]}`, false},
	{"no target", head + `{"kind":"notify","reason":"r"}]}`, false},
	{"no reason", head + `{"kind":"notify","target":"*"}]}`, false},
	{"empty kind", right("", "*", "r"), false},
	{"empty target", right("notify", "", "r"), false},
	{"empty reason", right("notify", "*", ""), false},
	{"null reason", head + `{"kind":"notify","target":"*","reason":null}]}`, false},
	{"number for a reason", head + `{"kind":"notify","target":"*","reason":1}]}`, false},
	{"unknown kind", right("device.camera", "*", "r"), false},
	{"kind with more after it", right("net.connectx", "*", "r"), false},
	{"kind with a newline after it", right("notify\n", "*", "r"), false},
	{"data without a kind", right("data.", "email", "r"), false},
	{"data in upper case", right("data.Identity", "email", "r"), false},
	{"data kind too long", right("data.a"+strings.Repeat("b", 32), "email", "r"), false},
	{"201 rights", rights(201), false},
	{"501 characters", right("notify", "*", strings.Repeat("é", 501)), false},
	{"target of 501", right("notify", strings.Repeat("x", 501), "r"), false},
	{"name of 201", `{"version":1,"name":"` + strings.Repeat("x", 201) + `","rights":[]}`, false},
	{"name a number", `{"version":1,"name":1,"rights":[]}`, false},
	{"port 0", ports(`{"port":0}`), false},
	{"port 65536", ports(`{"port":65536}`), false},
	{"port below 0", ports(`{"port":-1}`), false},
	{"port as text", ports(`{"port":"80"}`), false},
	{"no port", ports(`{"label":"x"}`), false},
	{"http as text", ports(`{"port":80,"http":"yes"}`), false},
	{"21 ports", ports(strings.Repeat(`{"port":1},`, 20) + `{"port":1}`), false},
	{"not JSON", `version: 1`, false},
	{"half", head, false},
	{"text after", head + "]} x", false},
}

func TestTheSchemaAndTheParserAgree(t *testing.T) {
	s := schema(t)
	for _, c := range samples {
		_, err := app.ParseManifest([]byte(c.raw))
		if taken := takes(s, []byte(c.raw)); taken != c.good || (err == nil) != c.good {
			t.Errorf("%s: the schema says %v, the parser %v, want %v", c.name, taken, err, c.good)
		}
	}
}

// FuzzTheSchemaTakesWhatTheParserTakes: the other way round does not hold for
// what the schema's $comment names.
func FuzzTheSchemaTakesWhatTheParserTakes(f *testing.F) {
	for _, c := range samples {
		f.Add([]byte(c.raw))
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := app.ParseManifest(raw); err == nil && !takes(s, raw) {
			t.Errorf("the parser takes what the schema does not: %s", raw)
		}
	})
}
