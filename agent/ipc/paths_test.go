package ipc

import (
	"path/filepath"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestPathRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule func(User) (Paths, error)
		user User
		want Paths
	}{
		"root": {LinuxPaths, User{UID: 0, Home: "/root", Env: env("XDG_RUNTIME_DIR", "/run/user/7")},
			Paths{"/var/lib/consentry", "/run/consentry", "/run/consentry/agent.sock"}},
		"user with XDG": {LinuxPaths, User{UID: 7, Home: "/home/u", Env: env("XDG_RUNTIME_DIR", "/run/user/7", "XDG_DATA_HOME", "/d")},
			Paths{"/d/consentry", "/run/user/7/consentry", "/run/user/7/consentry/agent.sock"}},
		"user without": {LinuxPaths, User{UID: 7, Home: "/home/u", Env: env()},
			Paths{"/home/u/.local/share/consentry", "/home/u/.local/share/consentry/run", "/home/u/.local/share/consentry/run/agent.sock"}},
		"relative XDG is ignored": {LinuxPaths, User{UID: 7, Home: "/home/u", Env: env("XDG_RUNTIME_DIR", "run", "XDG_DATA_HOME", ".")},
			Paths{"/home/u/.local/share/consentry", "/home/u/.local/share/consentry/run", "/home/u/.local/share/consentry/run/agent.sock"}},
		"darwin": {DarwinPaths, User{UID: 501, Home: "/Users/u", Env: env()},
			Paths{"/Users/u/Library/Application Support/Consentry", "/Users/u/Library/Application Support/Consentry/run", "/Users/u/Library/Application Support/Consentry/run/agent.sock"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.rule(c.user)
			if err != nil || got != c.want {
				t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
	for _, rule := range []func(User) (Paths, error){LinuxPaths, DarwinPaths, WindowsPaths} {
		if p, err := rule(User{UID: 7, Env: env()}); err == nil {
			t.Errorf("without a home: %+v", p)
		}
	}
	if p, err := WindowsPaths(User{Env: env("LOCALAPPDATA", `/local`)}); err != nil || p.Data != filepath.Join("/local", "Consentry") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestFindHome(t *testing.T) {
	p, err := Find("relative")
	if err != nil || !filepath.IsAbs(p.Data) || p.Socket != filepath.Join(p.Data, "run", "agent.sock") {
		t.Errorf("%+v, %v", p, err)
	}
	long := "/" + strings.Repeat("x", maxSocketPath-len("/run/agent.sock")-1)
	if _, err := Find(long); err != nil {
		t.Errorf("the longest home: %v", err)
	}
	if _, err := Find(long + "x"); err == nil || !strings.Contains(err.Error(), HomeEnv) {
		t.Errorf("one byte more: %v", err)
	}
}
