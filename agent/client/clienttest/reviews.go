package clienttest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// Review is the manifest of the app "manifest".
func Review() api.Review {
	return api.Review{
		ID: "5e7a1b2c", Nonce: "n-9", Asked: Now.Add(-time.Minute), App: "docker.io/library/web", AppID: "pub:docker.io/library/web",
		Publisher: "docker.io/library/web", Digest: webDigest, Source: "docker.io/library/web:2", SaysName: "Web\u202e", Update: true, Kept: 1,
		Lines: []api.ReviewLine{
			{Number: 1, Kind: "net.connect", Target: "tcp/*.example.com:443", Title: "connect to every host below example.com, port 443 (TCP)", Reason: "to fetch news", Without: "no news", Change: "wider", Was: "tcp/example.com:443"},
			{Number: 2, Kind: "data.identity", Target: "email", Title: "know your identity: email", Reason: "to sell it", Change: "purpose", Was: "to greet you", Rule: "allow"},
		},
		Ports: []api.ReviewPort{{Port: 8080, Label: "Editor", HTTP: true}},
	}
}

func (a *Agent) listReviews(*http.Request) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.review == nil {
		return []api.Review{}, nil
	}
	head := Review()
	head.Lines = nil
	return []api.Review{head}, nil
}

func (a *Agent) getReview(r *http.Request) (any, error) {
	if r.PathValue("id") != Review().ID {
		return nil, notFound("review is called " + r.PathValue("id"))
	}
	return Review(), nil
}

func (a *Agent) answerReview(r *http.Request) (any, error) {
	var in api.ReviewAnswer
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.review == nil || in.Nonce != Review().Nonce {
		return nil, notFound("review waits")
	}
	a.review <- in
	a.review = nil
	return struct{}{}, nil
}

// WaitsForReview says whether an app waits for one.
func (a *Agent) WaitsForReview() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.review != nil
}

// reviewed is what the app "manifest" does before it starts.
func (s *stage) reviewed() bool {
	answer := make(chan api.ReviewAnswer, 1)
	s.a.mu.Lock()
	s.a.review = answer
	s.a.mu.Unlock()
	head := Review()
	head.Lines = nil
	_ = api.WriteJSONFrame(s.conn, api.FrameReview, head)
	select {
	case given := <-answer:
		_ = api.WriteJSONFrame(s.conn, api.FrameReviewed, head)
		if given.Verdict == "stop" {
			_ = api.WriteJSONFrame(s.conn, api.FrameError, &api.Error{Code: "declined", Message: "the manifest was declined"})
			return false
		}
		s.given = given
		return true
	case <-time.After(20 * time.Second):
		return false
	}
}

// manifest prints how it was answered.
func manifest(s *stage) sandbox.Exit {
	raw, _ := json.Marshal(s.given)
	s.out(string(raw) + "\n")
	return sandbox.Exit{}
}

// install is a review without a start.
func (a *Agent) install(w http.ResponseWriter, r *http.Request) {
	var in api.RunRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, err)
		return
	}
	in.Detach = true
	a.perform(w, in)
}

// checkManifest has an error about a text with "bad" in it, and a warning about
// one with "odd"; the source "pulled" is good, and no other is there.
func (a *Agent) checkManifest(r *http.Request) (any, error) {
	var in api.ManifestCheck
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	found := api.ManifestFindings{Findings: []api.ManifestFinding{}}
	switch {
	case in.Source != "" && in.Source != "pulled":
		return nil, notFound("image is called " + in.Source)
	case strings.Contains(in.Text, "bad"):
		found.Findings = append(found.Findings, api.ManifestFinding{Level: "error", Code: "refused", Path: "rights/0/kind", Line: 3, Column: 4, Message: "no kind of right", Hint: "see the schema"})
	case strings.Contains(in.Text, "odd"):
		found.Findings = append(found.Findings, api.ManifestFinding{Level: "warning", Code: "wildcard", Path: "rights/0/target", Message: "every host", Hint: "name them"})
	}
	return found, nil
}
