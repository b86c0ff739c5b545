package wasmhost

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/rewrite"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// twin is a program as it is and rewritten, both compiled.
type twin struct {
	t      *testing.T
	name   string
	engine [2]wazero.Runtime
	code   [2]wazero.CompiledModule
}

func newTwin(t *testing.T, name, path string) *twin {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := rewrite.Rewrite(raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	w := &twin{t: t, name: name}
	for i, module := range [][]byte{raw, changed.Module} {
		w.engine[i] = wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(1024))
		t.Cleanup(func() { w.engine[i].Close(context.Background()) })
		if w.code[i], err = w.engine[i].CompileModule(t.Context(), module); err != nil {
			t.Fatalf("%s: compile: %v", name, err)
		}
	}
	return w
}

// outcome is what a program can be seen to do.
type outcome struct {
	out, err string
	code     uint32
	trap     string
}

func (w *twin) run(which int, input string, mounts []wasi.Mount, args ...string) (o outcome) {
	in, err := os.Open(writeText(w.t, input))
	if err != nil {
		w.t.Fatal(err)
	}
	out, outFile := collect(w.t)
	errs, errFile := collect(w.t)
	system, err := wasi.New(wasi.Config{
		Args: append([]string{"program"}, args...), Stdio: wasi.Stdio{Files: [3]*os.File{in, outFile, errFile}},
		Mounts: mounts, Output: 1 << 20, Exceeded: func(string) {},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.engine[which].Module(wasi.ModuleName) != nil {
		w.engine[which].Module(wasi.ModuleName).Close(w.t.Context())
	}
	var names []string
	for _, f := range w.code[which].ImportedFunctions() {
		_, name, _ := f.Import()
		names = append(names, name)
	}
	if err := wasi.Instantiate(w.t.Context(), w.engine[which], system, names); err != nil {
		w.t.Fatal(err)
	}
	mod, err := w.engine[which].InstantiateModule(w.t.Context(), w.code[which], wazero.NewModuleConfig().WithName(""))
	if mod != nil {
		mod.Close(w.t.Context())
	}
	system.Close()
	<-out.done
	<-errs.done
	o.out, o.err = out.String(), errs.String()
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		o.code = exit.ExitCode()
	} else if err != nil {
		o.trap, _, _ = strings.Cut(err.Error(), "\n")
	}
	return o
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// same runs both and compares all that can be seen.
func (w *twin) same(input string, mounts []wasi.Mount, args ...string) outcome {
	w.t.Helper()
	plain, changed := w.run(0, input, mounts, args...), w.run(1, input, mounts, args...)
	if plain != changed {
		w.t.Errorf("%s %q does %+v, rewritten %+v", w.name, args, plain, changed)
	}
	return plain
}

// modulesOfOthers are programs in wazero's own tests, from other compilers:
// they are given a folder and a file in it.
func modulesOfOthers(t *testing.T) map[string]string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range []string{"cargo-wasi", "tinygo", "zig", "zig-cc"} {
		in := filepath.Join(strings.TrimSpace(string(out)), "imports/wasi_snapshot_preview1")
		all[name+" cat"] = filepath.Join(in, "example/testdata", name, "cat.wasm")
		all[name+" wasi"] = filepath.Join(in, "testdata", name, "wasi.wasm")
	}
	return all
}

// Sixty programs in C, Go, Rust, Zig and TinyGo give the same output and end
// the same way rewritten as they do plain.
func TestDifferentialPrograms(t *testing.T) {
	buildC(t, "int main(void){return 0;}")
	const input = "first line\nand a second, longer line\n\nlast, without an end"
	programs := 0
	builds := map[string]string{
		"C":    clang(t, "testdata/programs.c", "-O2", "-mbulk-memory", "-lm"),
		"Go":   buildGo(t, "./testdata/programs_go"),
		"Rust": buildRust(t, "testdata/programs.rs"),
	}
	if os.Getenv("CONSENTRY_LONG") != "" {
		builds["C O0"] = clang(t, "testdata/programs.c", "-O0", "-lm")
	}
	for name, path := range builds {
		w := newTwin(t, name, path)
		list := strings.Fields(w.same("", nil, "list").out)
		for _, program := range list {
			if got := w.same(input, nil, program); got.out == "" {
				t.Errorf("%s %s says nothing: %+v", name, program, got)
			}
		}
		if name != "C O0" { // the same once more
			programs += len(list)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.txt"), []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts := mounts([]sandbox.Mount{{Source: dir, Target: "/"}})
	for name, path := range modulesOfOthers(t) {
		w := newTwin(t, name, path)
		got := w.same(input, mounts, "/test.txt")
		w.same(input, mounts, "ls", "/")
		// This Zig opens an absolute path, which no folder has.
		if strings.HasSuffix(name, "cat") && name != "zig cat" && got.out != input {
			t.Errorf("%s says %+v", name, got)
		}
		programs++
	}
	t.Logf("%d programs", programs)
	if programs < 50 {
		t.Errorf("%d programs, want 50", programs)
	}
}
