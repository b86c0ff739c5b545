//go:build wine

package wasmhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// special: Windows has neither in a folder.
func special(*testing.T, string, string) error { return nil }

// modulesEnv names the folder with c.wasm, go.wasm and rust.wasm:
// scripts/test-wine.sh builds them where there are compilers.
const modulesEnv = "CONSENTRY_MODULES"

// onWindows are the answers that differ there, by language.
var onWindows = map[string]map[string]string{
	"c": {"open fifo": "44", "open socket": "44"},
}

// The same cases as on Linux, with the same answers but for those of onWindows.
func TestConformance(t *testing.T) {
	dir := os.Getenv(modulesEnv)
	if dir == "" {
		t.Fatal("set " + modulesEnv + ", or run make test-wine")
	}
	for name, want := range map[string]string{"c": conformance, "go": conformanceGo, "rust": conformanceRust} {
		t.Run(name, func(t *testing.T) {
			for what, answer := range onWindows[name] {
				i := strings.Index(want, "\n"+what+" ") + 1
				end := i + strings.IndexByte(want[i:], '\n')
				want = want[:i] + what + " " + answer + want[end:]
			}
			conforms(t, filepath.Join(dir, name+".wasm"), want)
		})
	}
}
