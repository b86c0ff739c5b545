package agent

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/userdata"
)

// What is kept goes when the agent ends, the keychain's too; what is not ours
// stays.
func TestPurge(t *testing.T) {
	data := t.TempDir()
	system := newFakeKeychain()
	a, err := Open(t.Context(), Config{Data: data, Log: slog.New(slog.DiscardHandler), Now: time.Now, Keychain: system})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.data.Secrets.Set(userdata.Secret{Name: "token", Origins: []string{"https://api.example.com"}}, "abc"); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(data, "letters.txt")
	if err := os.WriteFile(mine, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(system.values) == 0 {
		t.Fatal("nothing is in the keychain")
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(context.WithoutCancel(t.Context()), l) }()
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", l.Addr().String())
	}}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://agent/v1/purge", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.VersionHeader, api.APIVersion)
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "consent")); err != nil {
		t.Error("it goes before the last run has ended: ", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(data, "*"))
	if err != nil || !slices.Equal(left, []string{mine}) {
		t.Errorf("left: %v %v", left, err)
	}
	if len(system.values) != 0 {
		t.Errorf("left in the keychain: %v", system.values)
	}
}

// A folder of the user's that is mounted below is never gone into.
func TestPurgeStopsAtMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts a folder")
	}
	home, data := t.TempDir(), t.TempDir()
	letter := filepath.Join(home, "letter")
	at := filepath.Join(data, "runs", "a b\\c")
	if err := os.WriteFile(letter, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(home, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err := removeKept(data)
	if unmount := unix.Unmount(at, 0); unmount != nil {
		t.Fatal(unmount)
	}
	if err == nil {
		t.Error("it removes below a mount")
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
	if err := removeKept(data); err != nil {
		t.Error(err)
	}
}
