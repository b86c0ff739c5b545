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

func TestAModuleAsksForTheEmailAndFetches(t *testing.T) {
	w := newWorld(t)
	const email = "ada@example.org"
	if r := w.result("profile", "set", "email="+email); r.code != 0 {
		t.Fatal(r.err)
	}
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
