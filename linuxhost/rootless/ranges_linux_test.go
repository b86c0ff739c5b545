package rootless

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestSubordinateIDs(t *testing.T) {
	ada := &user.User{Uid: "1000", Username: "ada"}
	for name, c := range map[string]struct {
		file string
		want span
	}{
		"by name":          {"bob:5:6\nada:100000:65536\n", span{100000, wantedIDs}},
		"by number":        {"1000:100000:70\n", span{100000, 70}},
		"the first":        {"ada:1:2\nada:3:4\n", span{1, 2}},
		"none":             {"bob:100000:65536\n", span{}},
		"a longer name":    {"adam:100000:65536\n", span{}},
		"root's ids":       {"ada:0:65536\n", span{}},
		"no ids":           {"ada:100000:0\n", span{}},
		"beyond all ids":   {"ada:4294967295:1\n", span{}},
		"over the end":     {"ada:4294967290:100\n", span{}},
		"more than 32 bit": {"ada:4294967296:1\n", span{}},
		"nonsense, then":   {"ada:x:y\nada\n::\nada:7:8\n", span{7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := readSpans(strings.NewReader(c.file), ada); err != nil || got != c.want {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
	if _, err := readSpans(strings.NewReader(strings.Repeat("x", maxSubLine+1)), ada); err == nil {
		t.Error("a line without an end was taken")
	}
	if got, err := subIDs(filepath.Join(t.TempDir(), "none"), ada); err != nil || got != (span{}) {
		t.Errorf("no file: %+v, %v", got, err)
	}
}

func FuzzSubordinateIDs(f *testing.F) {
	f.Add("ada:100000:65536\n")
	f.Add("1000:4294967295:4294967295")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readSpans(strings.NewReader(text), &user.User{Uid: "1000", Username: "ada"})
		if err != nil || got == (span{}) {
			return
		}
		if got.first == 0 || got.count == 0 || got.count > wantedIDs || uint64(got.first)+uint64(got.count) > 1<<32-1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestScopeThatIsNotGiven: the agent goes on without a scope, and asks once.
func TestScopeThatIsNotGiven(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := Scope(t.Context()); err == nil || !strings.Contains(err.Error(), "no systemd-run") {
		t.Errorf("without the tool: %v", err)
	}
	tool := filepath.Join(dir, "systemd-run")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\necho no bus; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Scope(t.Context()); err == nil || !strings.Contains(err.Error(), "no bus") {
		t.Errorf("without a bus: %v", err)
	}
	t.Setenv(scopeEnv, "1")
	if err := Scope(t.Context()); !errors.Is(err, errScoped) {
		t.Errorf("a second time: %v", err)
	}
}
