//go:build wine

package wasmhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// special: Windows has neither in a folder.
func special(*testing.T, string, string) error { return nil }

// baseDir is left to scripts/test-wine.sh: Wine 8 removes nothing that Go asks
// it to remove (it lacks FileDispositionInformationEx).
func baseDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// modulesEnv names the folder with c.wasm, go.wasm and rust.wasm:
// scripts/test-wine.sh builds them where there are compilers.
const modulesEnv = "CONSENTRY_MODULES"

// refusals are the answers that keep a module in its mounts: not below the
// mount, read-only, no such right.
var refusals = map[string]bool{"63": true, "69": true, "76": true}

// What is refused on Linux is refused here too, and nothing outside of the
// mounts changes. That the rest gives the same answers cannot be shown under
// Wine 8, which neither removes nor follows links as Windows does
// (docs/wasm-conformance.md).
func TestConformance(t *testing.T) {
	dir := os.Getenv(modulesEnv)
	if dir == "" {
		t.Fatal("set " + modulesEnv + ", or run make test-wine")
	}
	for name, table := range map[string]string{"c": conformance, "go": conformanceGo, "rust": conformanceRust} {
		t.Run(name, func(t *testing.T) {
			base, mounts := conformanceTree(t)
			state := func() string {
				return snapshot(t, filepath.Join(base, "outside")) + snapshot(t, filepath.Join(base, "ro"))
			}
			before := state()
			s := begin(t, filepath.Join(dir, name+".wasm"), sandbox.Spec{Mounts: mounts}, &testBroker{})
			s.stdin.Close()
			if exit := s.wait(time.Minute); exit.Code != 7 {
				t.Errorf("exit %+v, want 7; errors %q", exit, s.err)
			}
			got := answers(s.out.String())
			same, refused := 0, 0
			for what, want := range answers(table) {
				if got[what] == want {
					same++
				}
				if !refusals[want] {
					continue
				}
				refused++
				if got[what] == "0" || got[what] == "" {
					t.Errorf("%s: %q, and on Linux it is refused", what, got[what])
				}
			}
			t.Logf("%d refusals hold; %d answers of %d are those of Linux", refused, same, len(answers(table)))
			if refused == 0 {
				t.Error("nothing was to be refused")
			}
			if after := state(); after != before {
				t.Errorf("outside or the read-only mount has changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

func answers(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			found[line[:i]] = line[i+1:]
		}
	}
	return found
}
