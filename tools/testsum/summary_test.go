package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sum runs `go test -json` on a module made of files and gives the events to a summary.
func sum(t *testing.T, files map[string]string, limit int) (string, error) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.org/m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	events, runErr := cmd.Output() // fails where a test does
	var out bytes.Buffer
	s := newSummary(&out)
	if err := s.read(bytes.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	err := s.report(limit)
	if (runErr != nil) && err == nil {
		t.Errorf("go test failed (%v), testsum did not", runErr)
	}
	return out.String(), err
}

const head = "package p\nimport \"testing\"\n"

func TestSummary(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		limit int
		last  string   // line of the output
		want  []string // somewhere in the output
		err   string
	}{
		"pass": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { t.Log("quiet") }
				func TestB(t *testing.T) { t.Run("x", func(*testing.T){}); t.Run("y", func(*testing.T){}) }`},
			last: "3 passed, 0 failed, 0 skipped",
		},
		"failure in full": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { t.Log("first"); t.Error("second") }
				func TestB(t *testing.T) { t.Run("x", func(t *testing.T){ t.Error("inner") }) }`},
			last: "0 passed, 2 failed, 0 skipped",
			want: []string{"first", "second", "inner", "FAIL"},
			err:  "2 failed",
		},
		"parent fails after good subtests": {
			files: map[string]string{"p/p_test.go": head + `func TestB(t *testing.T) { t.Run("x", func(*testing.T){}); t.Error("own") }`},
			last:  "1 passed, 1 failed, 0 skipped",
			want:  []string{"own"},
			err:   "1 failed",
		},
		"does not build": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { nosuch() }`},
			last:  "0 passed, 1 failed, 0 skipped",
			want:  []string{"undefined: nosuch"},
			err:   "1 failed",
		},
		"dies": {
			files: map[string]string{"p/p_test.go": "package p\nimport (\"os\"; \"testing\")\nfunc TestA(t *testing.T) { os.Exit(3) }"},
			last:  "0 passed, 1 failed, 0 skipped",
			want:  []string{"the package itself", "p TestA"},
			err:   "1 failed",
		},
		"skip within the limit": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { t.Skip("needs a unicorn") }`},
			limit: 1,
			last:  "0 passed, 0 failed, 1 skipped",
			want:  []string{"needs a unicorn"},
		},
		"one skip too many": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { t.Skip("needs a unicorn") }`},
			last:  "0 passed, 0 failed, 1 skipped",
			err:   "more than the 0 allowed",
		},
		"skip without a reason": {
			files: map[string]string{"p/p_test.go": head + `func TestA(t *testing.T) { t.SkipNow() }`},
			limit: 5,
			last:  "0 passed, 0 failed, 1 skipped",
			err:   "without a reason",
		},
		"no tests at all": {
			files: map[string]string{"p/p.go": "package p\n"},
			last:  "0 passed, 0 failed, 0 skipped",
			err:   "no test was seen",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := sum(t, tc.files, tc.limit)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if got := lines[len(lines)-1]; got != tc.last {
				t.Errorf("last line %q, want %q\n%s", got, tc.last, out)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
			if (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}
}

func TestLimitFile(t *testing.T) {
	for text, good := range map[string]bool{"3\n": true, "": false, "many": false, "-1": false} {
		path := filepath.Join(t.TempDir(), "max")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readLimit(path); (err == nil) != good {
			t.Errorf("limit %q: %v", text, err)
		}
	}
}
