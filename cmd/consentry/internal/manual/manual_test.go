package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/cmd/consentry/internal/cli"
)

// Each page is read by two formatters, which have nothing to complain of, and
// says what the command line says; each shell reads its completions.
func TestTheManual(t *testing.T) {
	for _, tool := range []string{"mandoc", "groff", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs mandoc, groff and bash: run make deps")
		}
	}
	dir := t.TempDir()
	if err := write(dir, cli.Commands(), edition{"1.2.3", "2026-11-28"}); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man1", "*.1"))
	if err != nil || len(pages) < 50 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	say := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return string(out)
	}
	if said := say("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...); said != "" {
		t.Errorf("mandoc: %s", said)
	}
	if said := say("groff", append([]string{"-ww", "-man", "-z", "-K", "utf8"}, pages...)...); said != "" {
		t.Errorf("groff: %s", said)
	}
	run := say("mandoc", "-T", "utf8", filepath.Join(dir, "man1", "consentry-run.1"))
	for _, want := range []string{"consentry-run", "--share", "CONSENTRY-RUN(1)", "consentry(1)"} {
		if !strings.Contains(overstruck(run), want) {
			t.Errorf("the page of run has no %q", want)
		}
	}
	if said := say("bash", "-n", filepath.Join(dir, "completions", "bash")); said != "" {
		t.Errorf("bash: %s", said)
	}
	for _, shell := range []string{"zsh", "fish"} {
		if raw, err := os.ReadFile(filepath.Join(dir, "completions", shell)); err != nil || len(raw) < 1000 {
			t.Errorf("%s: %d bytes, %v", shell, len(raw), err)
		}
	}
}

// overstruck is text without the letters that a terminal prints twice.
func overstruck(text string) string {
	var out []rune
	for _, r := range text {
		if r == '\b' {
			out = out[:len(out)-1]
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

func TestWhatIsSpecial(t *testing.T) {
	var p roff
	p.line(`.so a\b-c`)
	p.macro("B", `say "x"`)
	if want := "\\&.so a\\eb\\-c\n.B \"say \\(dqx\\(dq\"\n"; p.String() != want {
		t.Errorf("%q, want %q", p.String(), want)
	}
}
