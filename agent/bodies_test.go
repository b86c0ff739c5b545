//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

// givers are the calls that may change rules; of every other call no body does.
var givers = []string{"POST /v1/grants", "POST /v1/grants/import", "POST /v1/apps/mute", "POST /v1/requests/{id}", "POST /v1/reviews/{id}"}

// FuzzBodies sends bodies to every call that takes one, through the real
// handlers of a real agent: what is wrong is an error of the client's, nothing
// falls over, and no rule comes from where rules are not given.
func FuzzBodies(f *testing.F) {
	w := newTestAgent(f)
	calls := bodyCalls(w)
	run := w.module("tool.wasm", "1")
	w.runs(w.run(api.RunRequest{Source: run, Name: "ended"}))
	if _, err := w.engine.Allow(f.Context(), consent.Rule{App: "sha256:aa", AppName: "tool", Kind: consent.Notify, Target: "*"}); err != nil {
		f.Fatal(err)
	}
	for i := range calls {
		for _, body := range []string{
			`{}`, `[]`, `null`, ``, `{"`, `{"unknown":1}`, `{"source":"/nowhere","ports":[{"host":1,"app":2}],"limits":{"memory":-1}}`,
			`{"app":"tool","kind":"net.connect","target":"tcp/a.b:443","verdict":"allow","lifetime":"always","by":"x"}`,
			`{"nonce":"x","verdict":"allow","lifetime":"run","lines":{"1":"deny"},"for":-1}`,
			`{"text":"app a b\nallow notify *\n","apply":"x"}`, `{"preset":"offline","app":"tool"}`, `{"email":"a@b","x":"y"}`,
			`{"signal":99}`, `{"grace":-5}`, `{"args":["x"],"terminal":true}`, `{"app":"tool","undo":true}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		pattern := calls[int(which)%len(calls)]
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{ref}", "ended", "{id}", "none").Replace(path)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if pattern == "POST /v1/images/pull" {
			cancel() // nothing is fetched by a fuzzer
		}
		req := httptest.NewRequestWithContext(ctx, method, "http://"+api.Host+path, strings.NewReader(string(body)))
		req.Header.Set(api.VersionHeader, api.APIVersion)
		req.Header.Set("Upgrade", api.StreamProtocol)
		before := w.rules()
		answer := httptest.NewRecorder()
		w.handler().ServeHTTP(answer, req)
		if changed := w.rules() != before; changed && !slices.Contains(givers, pattern) {
			t.Errorf("%s %q gave rules: %s", pattern, body, w.rules())
		}
		checkFault(t, pattern, body, answer)
	})
}

// checkFault wants every no to be one of ours, with words.
func checkFault(t *testing.T, pattern string, body []byte, answer *httptest.ResponseRecorder) {
	if answer.Code < 300 {
		return
	}
	var fault api.Error
	if err := json.Unmarshal(answer.Body.Bytes(), &fault); err != nil || fault.Code == "" || fault.Message == "" {
		t.Errorf("%s %q: status %d without an error: %s", pattern, body, answer.Code, answer.Body)
	}
	// A recorder cannot become a stream: that is how a good body of these ends.
	if answer.Code >= 500 && !strings.Contains(fault.Message, http.ErrNotSupported.Error()) {
		t.Errorf("%s %q: %d %s", pattern, body, answer.Code, fault.Message)
	}
}

func bodyCalls(w *testAgent) []string {
	var calls []string
	for pattern := range w.calls() {
		if strings.HasPrefix(pattern, "POST ") || strings.HasPrefix(pattern, "PUT ") {
			calls = append(calls, pattern)
		}
	}
	slices.Sort(calls)
	return calls
}
