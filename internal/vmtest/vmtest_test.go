package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGuest(t *testing.T) {
	for _, name := range []string{Stock, Backports} {
		t.Run(name, func(t *testing.T) {
			k := need(t, name)
			release, err := os.ReadFile(filepath.Join(k.dir, "version"))
			if err != nil {
				t.Fatal(err)
			}
			Test(t, "github.com/consentry/consentry/internal/vmtest/guest", "", Config{
				Kernel: name,
				Env:    []string{"WANT_RELEASE=" + strings.TrimSpace(string(release))},
				Disk:   64,
			})
		})
	}
}

// program compiles one main function for the guest.
func program(t *testing.T, imports, body string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	text := "package main\n\nimport (" + imports + ")\n\nfunc main() {\n" + body + "\n}\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "program")
	if err := goBuild(t.Context(), "amd64", "build", "-o", binary, source); err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestExitStatusAndOutput(t *testing.T) {
	need(t, "")
	binary := program(t, `"fmt"; "os"`, `
		fmt.Println("out", os.Args[1], os.Getenv("WORD"))
		fmt.Fprintln(os.Stderr, "err")
		text, err := os.ReadFile("/opt/x/more")
		fmt.Println(string(text), err)
		os.Exit(7)`)
	more := filepath.Join(t.TempDir(), "more")
	if err := os.WriteFile(more, []byte("brought along"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := Run(t, Config{Binary: binary, Args: []string{"two words"}, Env: []string{"WORD=w"}, Files: map[string]string{"/opt/x/more": more}})
	if want := "out two words w\nerr\nbrought along <nil>\n"; got.Exit != 7 || got.Output != want {
		t.Errorf("exit %d, output %q, want 7, %q", got.Exit, got.Output, want)
	}
}

// A machine that did not say how the program ended has failed.
func TestNoExitStatusIsAnError(t *testing.T) {
	k := need(t, "")
	tests := map[string]struct {
		body    string
		timeout time.Duration
		want    string
	}{
		"hangs":      {`time.Sleep(time.Hour)`, 25 * time.Second, "not done in time"},
		"panics":     {`os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); time.Sleep(time.Hour)`, time.Minute, "without an exit status"},
		"powers off": {`os.WriteFile("/proc/sysrq-trigger", []byte("o"), 0); time.Sleep(time.Hour)`, time.Minute, "without an exit status"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{Binary: program(t, `"os"; "time"`, "os.Stdout.WriteString(\"alive\\n\")\n"+tc.body), Timeout: tc.timeout}
			result, err := c.run(t.Context(), t.TempDir(), k)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if !strings.Contains(result.Output, "alive") {
				t.Errorf("the program did not run: %q\n%s", result.Output, result.Console)
			}
		})
	}
}

func TestModuleOrder(t *testing.T) {
	k := kernel{t.TempDir()}
	modules := filepath.Join(k.dir, "modules")
	if err := os.Mkdir(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"modules.dep":     "kernel/a/top-one.ko: kernel/b/mid.ko kernel/c/low.ko\nkernel/b/mid.ko: kernel/c/low.ko\nkernel/c/low.ko:\nkernel/d/other.ko:\n",
		"modules.builtin": "kernel/fs/ext4/ext4.ko\n",
	} {
		if err := os.WriteFile(filepath.Join(modules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := k.moduleOrder([]string{"top_one", "ext4", "mid"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range got {
		names = append(names, moduleName(file))
	}
	if fmt.Sprint(names) != "[low mid top_one]" {
		t.Errorf("order %v", names)
	}
	if _, err := k.moduleOrder([]string{"nosuch"}); err == nil {
		t.Error("a module that is nowhere was taken")
	}
}

func TestParseKeepsWhatCounts(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	mark := "\x16" // as -test.v=test2json writes before its own lines
	lines := []string{
		"=== RUN   TestA", "=== RUN   TestA/x", "    a_test.go:3: broken", "--- FAIL: TestA (0.00s)", "    --- FAIL: TestA/x (0.00s)",
		"=== RUN   TestB", "    b_test.go:4: needs a unicorn", "--- SKIP: TestB (0.00s)",
		"=== RUN   TestC", "--- PASS: TestC (0.00s)",
		"=== RUN   TestD", "panic: boom",
	}
	var text strings.Builder
	for _, line := range lines {
		if strings.Contains(line, "=== ") || strings.Contains(line, "--- ") {
			line = strings.Replace(line, strings.TrimLeft(line, " "), mark+strings.TrimLeft(line, " "), 1)
		}
		text.WriteString(line + "\n")
	}
	got, err := parse(context.Background(), text.String())
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, o := range got {
		seen = append(seen, o.name+"="+o.action)
	}
	// TestD did not end, which mirror takes for a failure.
	if want := "[TestA/x=fail TestB=skip TestC=pass TestD=]"; fmt.Sprint(seen) != want {
		t.Errorf("have %v, want %s", seen, want)
	}
	if !strings.Contains(strings.Join(got[1].output, ""), "unicorn") {
		t.Errorf("the reason of the skip is lost: %q", got[1].output)
	}
}

func TestMissingKernelIsASkipNotAPass(t *testing.T) {
	if _, err := findKernel("nosuch"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a kernel that is not there: %v", err)
	}
}
