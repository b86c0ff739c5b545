package clienttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

func (a *Agent) version(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return api.Version{Version: "1.0.0", API: a.api, PID: 4242, Started: Now, OS: "linux", Arch: "amd64"}, nil
}

func (a *Agent) doctorCall(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.doctor, nil
}

func (a *Agent) listRuns(r *http.Request) (any, error) {
	runs := someRuns()
	if r.FormValue("all") == "" {
		runs = runs[:1]
	}
	return runs, nil
}

func findRun(ref string) (api.Run, error) {
	for _, r := range someRuns() {
		if r.Name == ref || strings.HasPrefix(r.ID, ref) {
			return r, nil
		}
	}
	return api.Run{}, notFound("run is called " + ref)
}

func (a *Agent) inspect(r *http.Request) (any, error) {
	run, err := findRun(r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	return api.RunDetail{Run: run, Request: api.RunRequest{Source: run.Source, Stdin: run.Name == "cat"}, Grants: someGrants()[:1]}, nil
}

// known is a call that needs nothing but a run.
func (a *Agent) known(r *http.Request) (any, error) {
	run, err := findRun(r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodDelete && run.State == api.Running && r.FormValue("force") == "" {
		return nil, &api.Error{Code: "running", Message: run.Name + " is running", Hint: "stop it first, or use rm -f", Status: http.StatusConflict}
	}
	return struct{}{}, nil
}

func (a *Agent) listImages(*http.Request) (any, error) { return someImages(), nil }

func findImage(ref string) (api.Image, error) {
	for _, i := range someImages() {
		if i.Ref == ref {
			return i, nil
		}
	}
	return api.Image{}, notFound("image is called " + ref)
}

func (a *Agent) image(r *http.Request) (any, error) { return findImage(r.FormValue("ref")) }

func (a *Agent) removeImage(r *http.Request) (any, error) {
	i, err := findImage(r.FormValue("ref"))
	return api.RemovedImages{Refs: []string{i.Ref}, Bytes: i.Size}, err
}

func (a *Agent) prune(*http.Request) (any, error) {
	return api.RemovedImages{Refs: []string{"docker.io/library/old:1", "docker.io/library/old:2"}, Bytes: 1_500_000_000}, nil
}

func (a *Agent) listRequests(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.prompts, nil
}

func (a *Agent) answerCall(r *http.Request) (any, error) {
	var answer api.AnswerRequest
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.prompts, func(p api.Prompt) bool { return p.ID == r.PathValue("id") })
	switch {
	case i < 0:
		return nil, &api.Error{Code: "not-found", Message: "that request is over", Status: http.StatusNotFound}
	case a.prompts[i].Nonce != answer.Nonce:
		return nil, &api.Error{Code: "stale", Message: "the answer is for an older request", Status: http.StatusConflict}
	}
	if waiting := a.answer[a.prompts[i].ID]; waiting != nil {
		waiting <- answer
	}
	a.prompts = slices.Delete(slices.Clone(a.prompts), i, i+1)
	a.answers = append(a.answers, answer)
	return struct{}{}, nil
}

func (a *Agent) listGrants(r *http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.grants), func(g api.Grant) bool { return r.FormValue("app") != "" && g.App != r.FormValue("app") }), nil
}

func (a *Agent) addGrant(r *http.Request) (any, error) {
	var g api.Grant
	if err := json.NewDecoder(r.Body).Decode(&g); err != nil {
		return nil, err
	}
	g.ID, g.Since = "77aa00bb", Now
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants = append(a.grants, g)
	return g, nil
}

func (a *Agent) revoke(r *http.Request) (any, error) {
	id := r.PathValue("id")
	a.mu.Lock()
	defer a.mu.Unlock()
	var gone, kept []api.Grant
	for _, g := range a.grants {
		if id == "all" || id == "app:"+g.App || strings.HasPrefix(g.ID, id) {
			gone = append(gone, g)
		} else {
			kept = append(kept, g)
		}
	}
	a.grants = kept
	if len(gone) == 0 && id != "all" {
		return nil, &api.Error{Code: "not-found", Message: "no rule is called " + id, Hint: "consentry grants lists them", Status: http.StatusNotFound}
	}
	return gone, nil
}

func (a *Agent) why(r *http.Request) (any, error) {
	for _, g := range someGrants() {
		if g.App == r.FormValue("app") && g.Target == r.FormValue("target") {
			return api.Why{App: g.App, Target: g.Target, Verdict: g.Verdict, Text: "a rule says so", Rule: &g}, nil
		}
	}
	return api.Why{App: r.FormValue("app"), Target: r.FormValue("target"), Verdict: "ask", Text: "no rule speaks of it"}, nil
}

func (a *Agent) verify(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return api.Verified{Lines: 2, Detail: "line 3 does not follow from line 2"}, nil
	}
	return api.Verified{OK: true, Lines: 3}, nil
}

func (a *Agent) logs(w http.ResponseWriter, r *http.Request) {
	if _, err := findRun(r.PathValue("ref")); err != nil {
		fail(w, err)
		return
	}
	lines := []api.LogLine{{Time: Now, Stream: "stdout", Data: []byte("one\n")}, {Time: Now, Stream: "stderr", Data: []byte("two\n")}}
	if r.FormValue("follow") != "" {
		lines = append(lines, api.LogLine{Time: Now, Stream: "stdout", Data: []byte("three\n")})
	}
	encodeAll(w, lines)
}

func (a *Agent) ledger(w http.ResponseWriter, r *http.Request) {
	var lines []api.LedgerLine
	for _, l := range someLedger() {
		if k := r.FormValue("kind"); k == "" || k == l.Kind {
			lines = append(lines, l)
		}
	}
	encodeAll(w, lines)
}

func (a *Agent) pull(w http.ResponseWriter, r *http.Request) {
	var in api.PullRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	lines := pulling()
	if image, err := findImage(in.Source); err == nil {
		lines = append(lines, api.Progress{Phase: "done", Image: &image})
	} else {
		lines = append(lines, api.Progress{Error: &api.Error{Code: "unsupported-format", Message: "this is an ELF program", Hint: "consentry runs OCI images and .wasm modules"}})
	}
	encodeAll(w, lines)
}

func encodeAll[T any](w http.ResponseWriter, items []T) {
	enc := json.NewEncoder(w)
	for _, item := range items {
		_ = enc.Encode(item)
	}
}
