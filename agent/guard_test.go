//go:build unix

package agent

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
)

// Probe 59: a page in a browser that found a way to the local API. That another
// user cannot is tested in agent/ipc, a sandbox in internal/story.
func TestAPageCannotUseTheLocalAPI(t *testing.T) {
	w := newTestAgent(t)
	socket := filepath.Join(w.cfg.Data, "run", "agent.sock")
	browser := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	defer browser.CloseIdleConnections()
	const rule = `{"app":"sha256:aa","kind":"notify","target":"*","verdict":"allow","by":"page"}`
	ask := func(host string, header ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+"/v1/grants", strings.NewReader(rule))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	version := []string{api.VersionHeader, api.APIVersion}
	for name, status := range map[string]int{
		"a form":               ask("agent"),
		"a form of a page":     ask("agent", "Origin", "http://evil.example"),
		"fetch":                ask("agent", append(version, "Origin", "http://evil.example")...),
		"fetch of a file":      ask("agent", append(version, "Origin", "null")...),
		"fetch without origin": ask("agent", append(version, "Sec-Fetch-Site", "same-origin")...),
		"a name that rebinds":  ask("evil.example", version...),
		"localhost":            ask("localhost:80", version...),
		"another version":      ask("agent", api.VersionHeader, "0"),
	} {
		if status != http.StatusForbidden && status != http.StatusPreconditionFailed {
			t.Errorf("%s: status %d", name, status)
		}
	}
	if w.rules() != "" {
		t.Fatalf("a page gave %s", w.rules())
	}
	if status := ask("agent", version...); status != http.StatusNotFound { // it gets through: there is no such app
		t.Errorf("a client of ours: status %d", status)
	}
}
