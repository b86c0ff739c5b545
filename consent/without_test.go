package consent

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// without runs this very test in a build without the race detector, under which
// SQLite is about eight times slower. For tests of many states, not of races.
func without(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "consent.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$", "-test.v").CombinedOutput()
	t.Logf("%s", out)
	switch {
	case err != nil:
		t.Error(err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip("skipped in the build without the race detector")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Error("it did not run")
	}
}
