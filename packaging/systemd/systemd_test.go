//go:build linux

// Package systemd_test checks the units by systemd's own parser.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var ourPrograms = regexp.MustCompile(`/usr/lib/consentry/consentry[a-z-]*`)

// verify has systemd-analyze read a unit, with a program that is there in the place
// of ours. What it only warns of is an error here.
func verify(t *testing.T, manager string, edit func(string) string, units ...string) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze (apt-get install systemd)")
	}
	dir := t.TempDir()
	args := []string{"verify", manager, "--man=no", "--recursive-errors=no"}
	for _, name := range units {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		unit := ourPrograms.ReplaceAllString(edit(string(text)), "/bin/true")
		if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

func TestUnits(t *testing.T) {
	same := func(text string) string { return text }
	if said := verify(t, "--system", same, "consentry-bpf.socket", "consentry-bpf.service"); said != "" {
		t.Errorf("consentry-bpf: %s", said)
	}
	if said := verify(t, "--user", same, "consentry.service"); said != "" {
		t.Errorf("consentry: %s", said)
	}
	for what, broken := range map[string][2]string{
		"a word that systemd does not know": {"NoNewPrivileges=", "NoNewPrivilege="},
		"a socket of no kind":               {"ListenSequentialPacket=", "ListenPacket="},
	} {
		edit := func(text string) string { return strings.ReplaceAll(text, broken[0], broken[1]) }
		if said := verify(t, "--system", edit, "consentry-bpf.service", "consentry-bpf.socket"); said == "" {
			t.Errorf("%s is not found", what)
		}
	}
}
