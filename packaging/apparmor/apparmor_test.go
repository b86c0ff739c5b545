//go:build linux

// Package apparmor_test checks the profile by AppArmor's own parser.
package apparmor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// parser is what scripts/apparmor.sh fetched, or the machine's own where it knows
// user namespaces.
func parser(t *testing.T) []string {
	t.Helper()
	fetched := filepath.Join("..", "..", ".cache", "apparmor", "parse")
	if _, err := os.Stat(fetched); err == nil {
		return []string{fetched}
	}
	own, err := exec.LookPath("apparmor_parser")
	if _, known := os.Stat("/etc/apparmor.d/abi/4.0"); err != nil || known != nil {
		t.Skip("needs apparmor_parser 4.0 (make kernels fetches one; else the package apparmor)")
	}
	return []string{own, "-Q", "-K"} // read, load nothing, keep nothing
}

func TestProfile(t *testing.T) {
	line := parser(t)
	parse := func(path string) (string, error) {
		out, err := exec.Command(line[0], append(line[1:], path)...).CombinedOutput()
		return string(out), err
	}
	if said, err := parse("consentry"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	text, err := os.ReadFile("consentry")
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "consentry")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), "userns,", "usernss,", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(broken); err == nil {
		t.Error("a rule that is none is not found")
	}
}
