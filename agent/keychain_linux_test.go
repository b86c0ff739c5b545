package agent

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestARealSecretService runs itself again under a session bus of its own with
// gnome-keyring on it, unlocked with a password that is nobody's.
func TestARealSecretService(t *testing.T) {
	if os.Getenv("CONSENTRY_TEST_BUS") != "" {
		withSecretService(t)
		return
	}
	for _, tool := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs the tool " + tool + ": run make deps")
		}
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "dbus-run-session", "--", "sh", "-c",
		`echo -n secret | gnome-keyring-daemon --unlock --components=secrets --foreground >/dev/null 2>&1 &
		daemon=$!
		"$0" -test.run '^TestARealSecretService$' -test.v
		code=$?
		kill $daemon
		exit $code`, os.Args[0])
	cmd.Env = append(os.Environ(), "CONSENTRY_TEST_BUS=1", "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func withSecretService(t *testing.T) {
	dir := t.TempDir()
	place, err := storeIn(t, Session(), dir)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); { // the service comes up beside us
		if err == nil && place.name == sessionKeychain {
			break
		}
		time.Sleep(50 * time.Millisecond)
		dir = t.TempDir()
		place, err = storeIn(t, Session(), dir)
	}
	if err != nil || place.name != sessionKeychain || hasKeyFile(dir) {
		t.Fatalf("%s, %v", place.name, err)
	}
	if _, err := storeIn(t, Session(), dir); err != nil {
		t.Fatalf("a second start: %v", err)
	}
	key, err := place.Get("key")
	if err != nil || len(key) != 32 {
		t.Fatalf("key of %d bytes, %v", len(key), err)
	}
	for _, name := range []string{"key", "generation"} {
		if err := place.Set(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := storeIn(t, Session(), dir); err == nil {
		t.Error("a store whose key is gone is believed")
	}
}
