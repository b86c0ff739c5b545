//go:build linux

package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const upperSource = `
#include <ctype.h>
#include <stdio.h>
#include <string.h>
__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }
int main(int argc, char **argv) {
	if (argc > 1 && !strcmp(argv[1], "wait")) { puts("waiting"); fflush(stdout); for (;;) __asm__ volatile(""); }
	int c;
	while ((c = getchar()) != EOF) putchar(toupper(c));
	fprintf(stderr, "done\n");
	return 4;
}`

// shellModule builds a small C program.
func shellModule(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("needs wasi-libc: run make deps")
	}
	dir := t.TempDir()
	source, out := filepath.Join(dir, "upper.c"), filepath.Join(dir, "upper.wasm")
	must(t, os.WriteFile(source, []byte(upperSource), 0o600))
	if text, err := exec.Command("clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", out, source).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	return out
}

// A module behaves in a shell as any program does: redirections, pipes, exit
// codes, signals, and functions called by name.
func TestModulesInAShell(t *testing.T) {
	w := newWorld(t)
	module := shellModule(t)
	run := "\"" + built.program + "\" run --rm --quiet --no-input "
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "in"), []byte("from a file\n"), 0o600))
	for _, c := range []struct{ name, script, out, err string }{
		{"redirections", run + module + " < in > out; echo $?; cat out", "4\nFROM A FILE\n", "done\n"},
		{"a pipe", "printf 'one\\ntwo\\n' | " + run + module + " | sort -r", "TWO\nONE\n", "done\n"},
		{"a large pipe", "head -c 3000000 /dev/zero | tr '\\0' a | " + run + module + " | tr -d A | wc -c", "0\n", "done\n"},
		{"a reader that leaves", "yes | head -c 3000000 | " + run + module + " | head -n 1", "Y\n", ""},
		{"a function", run + module + " --invoke add 40 2", "42\n", ""},
		{"a wrong function", run + module + " --invoke sub 1 2 >/dev/null 2>&1; echo $?", "125\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.command(w.machine, "sh", "-c", "cd "+dir+" && "+c.script).wait()
			if r.out != c.out || c.err != "" && !strings.Contains(r.err, c.err) {
				t.Errorf("prints %q, errors %q; want %q and %q", r.out, r.err, c.out, c.err)
			}
		})
	}
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(signal.String(), func(t *testing.T) {
			app := w.start("run", "--rm", "--quiet", "--no-input", module, "wait")
			w.until("the module runs", func() bool { return strings.Contains(app.out.String(), "waiting") })
			began := time.Now()
			must(t, app.cmd.Process.Signal(signal))
			if r := app.wait(); r.code != code || time.Since(began) > 10*time.Second {
				t.Errorf("exit %d after %s, want %d; %s", r.code, time.Since(began), code, r.err)
			}
		})
	}
}
