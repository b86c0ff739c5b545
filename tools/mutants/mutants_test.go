package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// short is how many faults the short variant plants, spread over the list.
	short = 3
	// perFault bounds one build and run; a fault that makes a test hang is found.
	perFault = 5 * time.Minute
	// elsewhere are tests of what faults of the list have no part in.
	elsewhere = "Disk|Archive|Ledger|Edited|Damaged|ManyApps|Reset|Crash|Kill|Keychain|Mark|Receipt|Rotat|Verify|Flip|Golden|NoMemory"
)

func source(t *testing.T, file string) (path, text string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "consent", file))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(raw)
}

// Each fault has one place: a list that fell behind the code plants nothing.
func TestEveryFaultHasItsPlace(t *testing.T) {
	for _, f := range faults {
		_, text := source(t, f.file)
		if n := strings.Count(text, f.from); n != 1 || f.from == f.to {
			t.Errorf("%s has %d places that read %q", f.file, n, f.from)
		}
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	step := len(faults) / short
	if os.Getenv("CONSENTRY_LONG") != "" {
		step = 1
	}
	planted, found := 0, 0
	for i := 0; i < len(faults); i += step {
		planted++
		if plant(t, faults[i]) {
			found++
		} else {
			t.Errorf("no test fails with %s: %q for %q", faults[i].file, faults[i].to, faults[i].from)
		}
	}
	t.Logf("%d of %d planted faults were found (%d in the list)", found, planted, len(faults))
}

// plant runs the tests with one fault in the code, which stays as it is on disk.
func plant(t *testing.T, f fault) (found bool) {
	t.Helper()
	path, text := source(t, f.file)
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, f.file), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(text, f.from, f.to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), perFault)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-count=1", "-failfast",
		"-timeout", "2m", "-skip", elsewhere, ".")
	cmd.Dir = filepath.Dir(path)
	cmd.Env = append(os.Environ(), "CONSENTRY_LONG=")
	out, err := cmd.CombinedOutput()
	report := string(out)
	if strings.Contains(report, "[build failed]") || strings.Contains(report, "[setup failed]") {
		t.Errorf("the fault %q is no Go:\n%s", f.to, report)
	}
	t.Logf("%-70.70s %s", fmt.Sprintf("%s: %q", f.file, f.to), firstFailure(report))
	return err != nil && strings.Contains(report, "FAIL")
}

func firstFailure(report string) string {
	for line := range strings.Lines(report) {
		if strings.Contains(line, "--- FAIL") || strings.HasPrefix(line, "panic: ") {
			return strings.TrimSpace(line)
		}
	}
	return "found by none"
}
