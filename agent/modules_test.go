package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// An image has its own files at /, which a folder would hide, and no functions.
func TestImagesRefuseWhatIsForModules(t *testing.T) {
	for name, req := range map[string]api.RunRequest{
		"a folder at /":  {Shares: []api.Share{{Source: t.TempDir(), Target: "/"}}},
		"a call":         {Call: &api.ModuleCall{Function: "f"}},
		"open files":     {Limits: sandbox.Limits{Files: 100}},
		"processor time": {Limits: sandbox.Limits{CPU: 1}},
	} {
		if checkImageRequest(req) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := checkImageRequest(api.RunRequest{}); err != nil {
		t.Error(err)
	}
}

// Only the first start of a large module is announced as slow, and no module
// shares its directory for compiled code with another.
func TestModuleCache(t *testing.T) {
	m, err := openModules(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	large, small := "sha256:aa", "sha256:bb"
	for digest, size := range map[string]int{large: noticeable, small: 100} {
		if err := os.WriteFile(m.path(digest), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache, err := m.cacheOf(large)
	other, err2 := m.cacheOf(small)
	if err != nil || err2 != nil || cache == other {
		t.Fatalf("%q %v, %q %v", cache, err, other, err2)
	}
	slow := func(digest, cache string) bool { _, is := m.slowToCompile(digest, cache); return is }
	if !slow(large, cache) || slow(small, other) {
		t.Error("only the large module is slow")
	}
	if err := os.Mkdir(filepath.Join(cache, "engine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if slow(large, cache) {
		t.Error("compiled before, and slow still")
	}
}
