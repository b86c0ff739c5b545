package wsl_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/vmhost/wsl"
)

func (w *world) proxy(state string) *wsl.PortProxy {
	w.t.Helper()
	p, err := wsl.OpenPortProxy(w.t.Context(), wsl.PortProxyConfig{Netsh: w.program("netsh.exe"), State: state})
	must(w.t, err)
	return p
}

func (w *world) rules() string {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "rules"))
	if !errors.Is(err, os.ErrNotExist) {
		must(w.t, err)
	}
	return string(raw)
}

func ruleTo(port uint16, to string) wsl.Rule {
	return wsl.Rule{Port: port, To: netip.MustParseAddrPort(to)}
}

// TestPortProxy: rules are exact, of the loopback address, and gone at the end.
// Those of others are left alone.
func TestPortProxy(t *testing.T) {
	w := newWorld(t)
	const others = "0.0.0.0 8080 192.168.1.9 80\n127.0.0.1 9000 10.1.1.1 9000"
	must(t, os.WriteFile(filepath.Join(w.dir, "rules"), []byte(others), 0o600))
	p := w.proxy(filepath.Join(tempDir(t), "rules.json"))
	must(t, p.Add(t.Context(), ruleTo(8080, "172.23.64.5:8080")))
	w.called("netsh interface portproxy add v4tov4 listenaddress=127.0.0.1 listenport=8080 connectaddress=172.23.64.5 connectport=8080")
	if got := w.rules(); got != others+"\n127.0.0.1 8080 172.23.64.5 8080" {
		t.Errorf("rules:\n%s", got)
	}
	if err := p.Add(t.Context(), ruleTo(9000, "172.23.64.5:1")); err == nil || !strings.Contains(err.Error(), "not of consentry") {
		t.Errorf("a port of another: %v", err)
	}
	must(t, p.Remove(t.Context(), ruleTo(9000, "10.1.1.1:9000"))) // not ours
	must(t, p.Close(t.Context()))
	w.called("netsh interface portproxy delete v4tov4 listenaddress=127.0.0.1 listenport=8080")
	if got := w.rules(); got != others {
		t.Errorf("rules:\n%s", got)
	}
	for _, bad := range []wsl.Rule{{}, {Port: 1}, {Port: 1, To: netip.MustParseAddrPort("[::1]:1")}, {To: netip.MustParseAddrPort("1.1.1.1:1")}} {
		if err := p.Add(t.Context(), bad); err == nil {
			t.Errorf("%+v was made", bad)
		}
	}
}

// TestPortProxyAfterAKill: the next agent removes what is ours and still as we
// made it.
func TestPortProxyAfterAKill(t *testing.T) {
	w := newWorld(t)
	state := filepath.Join(tempDir(t), "rules.json")
	p := w.proxy(state)
	must(t, p.Add(t.Context(), ruleTo(8080, "172.23.64.5:8080")))
	must(t, p.Add(t.Context(), ruleTo(8081, "172.23.64.5:8081")))
	taken := strings.Replace(w.rules(), "127.0.0.1 8081 172.23.64.5 8081", "127.0.0.1 8081 10.9.9.9 1", 1)
	must(t, os.WriteFile(filepath.Join(w.dir, "rules"), []byte(taken), 0o600))
	w.proxy(state)
	if got := w.rules(); got != "127.0.0.1 8081 10.9.9.9 1" {
		t.Errorf("rules:\n%s", got)
	}
	must(t, os.WriteFile(state, []byte("{"), 0o600))
	_, err := wsl.OpenPortProxy(t.Context(), wsl.PortProxyConfig{Netsh: w.program("netsh.exe"), State: state})
	if err == nil || !strings.Contains(err.Error(), state) {
		t.Errorf("a torn file: %v", err)
	}
}

// TestPortProxyWithoutAYes: an administrator who says no leaves no rule, and
// what netsh claims without doing it is seen.
func TestPortProxyWithoutAYes(t *testing.T) {
	w := newWorld(t)
	no := errors.New("no")
	for name, elevate := range map[string]func(context.Context, string, []string) error{
		"no":   func(context.Context, string, []string) error { return no },
		"lied": func(context.Context, string, []string) error { return nil },
	} {
		state := filepath.Join(tempDir(t), "rules.json")
		p, err := wsl.OpenPortProxy(t.Context(), wsl.PortProxyConfig{Netsh: w.program("netsh.exe"), State: state, Elevate: elevate})
		must(t, err)
		if err := p.Add(t.Context(), ruleTo(8080, "172.23.64.5:8080")); err == nil {
			t.Errorf("%s: a rule was made", name)
		}
		if w.rules() != "" {
			t.Errorf("%s: %s", name, w.rules())
		}
	}
}
