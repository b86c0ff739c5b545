package clienttest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

const presetText = "# Nothing leaves the app.\ndeny net.connect any/*:*\n"

func somePresets() []api.Preset {
	return []api.Preset{
		{Name: "broken", Own: true, Error: "line 1: what\nline 2: is this"},
		{Name: "offline", About: "Nothing leaves the app.", Rules: 1, Text: presetText},
	}
}

func (a *Agent) listPresets(*http.Request) (any, error) { return somePresets(), nil }

func (a *Agent) getPreset(r *http.Request) (any, error) {
	if r.PathValue("name") != "offline" {
		return nil, notFound("preset is called " + r.PathValue("name"))
	}
	return somePresets()[1], nil
}

func (a *Agent) exportRules(*http.Request) (any, error) {
	return api.RuleText{Text: "app sha256:aa hello.wasm\nallow data.identity email\n"}, nil
}

// importRules knows one file, the one that export gives, and one preset.
func (a *Agent) importRules(r *http.Request) (any, error) {
	var in api.ImportRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	if strings.Contains(in.Text, "bad") {
		return nil, &api.Error{Code: "invalid", Message: "nothing was done: line 1: \"bad\" is not allow, deny or app", Status: http.StatusBadRequest}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	plan := api.ImportPlan{Plan: "p-1", Applied: in.Apply == "p-1", Items: []api.ImportItem{
		{Line: 2, App: "hello.wasm", AppID: "sha256:aa", Verdict: "allow", Kind: "data.identity", Target: "email", Does: "replace", Was: "deny"},
		{Line: 3, App: "hello.wasm", AppID: "sha256:aa", Verdict: "deny", Kind: "notify", Target: "*", Does: "same"},
	}}
	if plan.Applied {
		a.calls = append(a.calls, "applied "+in.Preset+" "+in.App)
	}
	return plan, nil
}

func (a *Agent) overview(*http.Request) (any, error) {
	return api.AppOverview{
		App: "docker.io/library/web", AppID: "pub:x", Publisher: "docker.io/library/web", Digest: webDigest, Muted: true,
		Reviewed: Now.AddDate(0, 0, -2), Lines: 3, Running: []string{"web"}, Grants: someGrants()[:2],
		Refused: []api.Refusal{{Kind: "net.connect", Target: "tcp/evil.example:443", Count: 4, Last: Now.AddDate(0, 0, -1), Source: "hold"}},
		Waiting: somePrompts()[:1],
	}, nil
}

func (a *Agent) learned(*http.Request) (any, error) {
	return api.Learned{
		App: "web", Wishes: []api.Wish{{Kind: "notify", Target: "*", Count: 1}},
		Manifest: json.RawMessage(`{"version":1,"rights":[{"kind":"notify","target":"*","reason":"r"}]}`),
	}, nil
}

func (a *Agent) mute(r *http.Request) (any, error) {
	var in api.MuteRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	if in.App == "quiet" {
		return []api.Grant{}, nil
	}
	return []api.Grant{{ID: "1", App: in.App, Kind: "*", Target: "*", Verdict: "deny"}}, nil
}
