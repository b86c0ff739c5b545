package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/consent/chain"
)

// served is an agent that answers over a socket until it ends.
type served struct {
	*Agent
	client http.Client
	ended  chan error
	close  func()
}

func serve(t *testing.T, data string) *served {
	t.Helper()
	a, err := Open(t.Context(), Config{Data: data, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{Agent: a, ended: make(chan error, 1)}
	s.client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { s.ended <- a.Serve(ctx, l) }()
	s.close = sync.OnceFunc(func() {
		cancel()
		s.client.CloseIdleConnections()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *served) call(t *testing.T, method, path string, into any) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.VersionHeader, api.APIVersion)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return resp
}

func TestADamagedStoreIsSaidResetAndLeftBehind(t *testing.T) {
	data := t.TempDir()
	first := serve(t, data)
	if _, err := first.engine.Allow(t.Context(), consent.Rule{
		App: "sha256:00", AppName: "demo", Kind: consent.NetConnect, Target: "tcp/api.example.com:443", Verdict: consent.Allow,
	}); err != nil {
		t.Fatal(err)
	}
	var fault api.Error
	if resp := first.call(t, "POST", "/v1/store/reset", &fault); resp.StatusCode != http.StatusConflict || resp.Header.Get(api.AlertHeader) != "" {
		t.Fatalf("a sound store: %s, %+v", resp.Status, fault)
	}
	first.close()
	path := filepath.Join(data, "consent", "consent.db")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(raw, []byte("api.example.com"), []byte("api.exfiltr.com")), 0o600); err != nil {
		t.Fatal(err)
	}

	damaged := serve(t, data)
	var grants []api.Grant
	if resp := damaged.call(t, "GET", "/v1/grants", &grants); !strings.Contains(resp.Header.Get(api.AlertHeader), "damaged") || len(grants) != 0 {
		t.Errorf("alert %q, grants %v", resp.Header.Get(api.AlertHeader), grants)
	}
	if resp := damaged.call(t, "GET", "/v1/log/export?form=chain", &fault); resp.StatusCode != http.StatusServiceUnavailable || fault.Hint == "" {
		t.Errorf("export: %s, %+v", resp.Status, fault)
	}
	var reset api.Reset
	damaged.call(t, "POST", "/v1/store/reset", &reset)
	if _, err := os.Stat(filepath.Join(reset.Kept, "consent.db")); err != nil {
		t.Errorf("kept in %q: %v", reset.Kept, err)
	}
	select {
	case err := <-damaged.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the agent goes on")
	}
	damaged.close()
	anew := serve(t, data)
	if resp := anew.call(t, "GET", "/v1/grants", &grants); resp.Header.Get(api.AlertHeader) != "" || len(grants) != 0 {
		t.Errorf("alert %q, grants %v", resp.Header.Get(api.AlertHeader), grants)
	}
	var receipts consent.Receipts
	if resp := anew.call(t, "GET", "/v1/log/export?form=receipts", &receipts); resp.StatusCode != http.StatusOK || receipts.SchemaVersion == "" {
		t.Errorf("receipts: %s, %+v", resp.Status, receipts)
	}
	var out bytes.Buffer
	if err := anew.engine.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if proof, err := chain.Verify(&out, "", nil); err != nil || proof.Last == 0 {
		t.Errorf("%+v, %v", proof, err)
	}
}
