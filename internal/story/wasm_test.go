//go:build linux

package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sample builds the sample app of a language as a wasm module.
func sample(t *testing.T, language string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), language+".wasm")
	var cmd *exec.Cmd
	switch language {
	case "go":
		cmd = exec.Command("go", "build", "-o", out, "../../examples/wasm-go")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	case "c":
		if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
			t.Skip("needs wasi-libc: run make deps")
		}
		sources, err := filepath.Glob("../../examples/wasm-c/*.c")
		must(t, err)
		cmd = exec.Command("clang", append([]string{"--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-I../../sdk/c", "-o", out}, sources...)...)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the %s sample: %v\n%s", language, err, text)
	}
	return out
}

// installingIsShown runs a large module that is new here three times: a line
// where somebody reads it, none for machines, none when it was compiled before.
func installingIsShown(w *world) {
	module, line := sample(w.t, "go"), "installing go.wasm ("
	if r := w.result("run", "--rm", "--no-input", "--json", module); strings.Contains(r.err+r.out, line) {
		w.t.Errorf("--json: %s%s", r.out, r.err)
	}
	fresh := filepath.Join(w.t.TempDir(), "go.wasm")
	raw, err := os.ReadFile(module)
	must(w.t, err)
	must(w.t, os.WriteFile(fresh, append(raw, 0, 2, 1, 'x'), 0o600)) // another one, by a custom section
	if r := w.result("run", "--rm", "--no-input", fresh); strings.Count(r.err, line) != 1 {
		w.t.Errorf("the first run says %s", r.err)
	}
	if r := w.result("run", "--rm", "--no-input", fresh); strings.Contains(r.err, line) {
		w.t.Errorf("the second run says %s", r.err)
	}
}

func TestAModuleAsksForTheEmailAndFetches(t *testing.T) {
	w := newWorld(t)
	const email = "ada@example.org"
	if r := w.result("profile", "set", "email="+email); r.code != 0 {
		t.Fatal(r.err)
	}
	installingIsShown(w)
	for _, language := range []string{"go", "c"} {
		t.Run(language, func(t *testing.T) {
			module := sample(t, language)
			run := func() *running { return w.start("run", "--rm", "--quiet", module, "http://"+webName+"/") }

			app := run()
			if r := w.result("deny", w.request("email").ID, "--once"); r.code != 0 {
				t.Fatal(r.err)
			}
			if r := app.wait(); r.code == 0 || strings.Contains(r.out, email) {
				t.Fatalf("denied: exit %d %q %s", r.code, r.out, r.err)
			}

			before := w.reached()
			app = run()
			if r := w.result("allow", w.request("email").ID, "--once"); r.code != 0 {
				t.Fatal(r.err)
			}
			p := w.request(webTarget)
			if w.reached() != before {
				t.Fatal("the server was reached before the answer")
			}
			if r := w.result("allow", p.ID, "--once"); r.code != 0 {
				t.Fatal(r.err)
			}
			if r := app.wait(); r.code != 0 || !strings.Contains(r.out, email) || !strings.Contains(r.out, "page of "+webName) {
				t.Fatalf("allowed: exit %d %q %s", r.code, r.out, r.err)
			}

			app = w.start("run", "--rm", "--quiet", "--hold", "300ms", module)
			if r := app.wait(); r.code == 0 || strings.Contains(r.out, email) {
				t.Fatalf("no answer: exit %d %q %s", r.code, r.out, r.err)
			}
			w.result("deny", w.request("email").ID, "--once") // out of the next one's way
		})
	}
}
