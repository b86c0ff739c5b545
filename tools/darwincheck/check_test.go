package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module whose one package uses C, with body as a function's body.
func module(t *testing.T, body, test string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n",
		"mac_darwin.go": `package m

// #include <dispatch/dispatch.h>
import "C"

import "unsafe"

type machine struct{ queue unsafe.Pointer }

func (m *machine) start(n int) (string, error) {
	C.dispatch_async_f(m.queue, nil, C.size_t(n))
	` + body + `
}
`,
		"word_arm64.go":   "package m\n\nconst word = 1 << 40\n",
		"other_linux.go":  "package m\n\nthis is no Go, and macOS never sees it\n",
		"mac_test.go":     "package m\n\nimport \"testing\"\n\nfunc TestStart(t *testing.T) { " + test + " }\n",
		"sub/broken.go":   "package sub\n\nimport \"example.org/m/nosuch\"\n\nvar _ = nosuch.X\n",
		"clean/clean.go":  "package clean\n\nconst Clean = true\n",
		"clean/darwin.go": "package clean\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	return dir
}

func TestPlantedFaults(t *testing.T) {
	tests := map[string]struct {
		body, test, arch, pattern, want string
	}{
		"clean":                    {body: `return "", nil`, arch: "arm64"},
		"clean on amd64":           {body: `return "", nil`, arch: "amd64"},
		"undefined name":           {body: `return nosuch, nil`, arch: "arm64", want: "undefined: nosuch"},
		"wrong type":               {body: `return 7, nil`, arch: "arm64", want: "cannot use 7"},
		"missing result":           {body: `return ""`, arch: "arm64", want: "not enough return values"},
		"unknown method":           {body: `m.stop(); return "", nil`, arch: "arm64", want: "m.stop undefined"},
		"unused variable":          {body: `x := 1; return "", nil`, arch: "arm64", want: "declared and not used: x"},
		"no return":                {body: ``, arch: "arm64", want: "missing return"},
		"syntax":                   {body: `return "" nil`, arch: "arm64", want: "expected"},
		"argument of a C call":     {body: `C.free(unsafe.Pointer(m.nosuch)); return "", nil`, arch: "arm64", want: "m.nosuch undefined"},
		"file of one architecture": {body: `_ = word; return "", nil`, arch: "amd64", want: "undefined: word"},
		"in a test file":           {body: `return "", nil`, test: `(&machine{}).start()`, arch: "arm64", want: "not enough arguments"},
		"missing import":           {body: `return "", nil`, arch: "arm64", pattern: "./sub", want: "nosuch"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := module(t, tc.body, tc.test)
			if tc.pattern == "" {
				tc.pattern = "."
			}
			got, err := check(target{dir: dir, arch: tc.arch, tests: true}, []string{tc.pattern})
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(got.faults, "\n")
			if tc.want == "" && len(got.faults) > 0 {
				t.Errorf("a clean package has faults:\n%s", all)
			}
			if !strings.Contains(all, tc.want) {
				t.Errorf("want %q reported, have:\n%s", tc.want, all)
			}
			if got.packages == 0 {
				t.Error("nothing was checked")
			}
		})
	}
}

func TestNothingToCheck(t *testing.T) {
	dir := module(t, `return "", nil`, "")
	if _, err := check(target{dir: dir, arch: "arm64"}, nil); err != nil {
		t.Errorf("the package in the directory itself: %v", err)
	}
	if _, err := check(target{dir: dir, arch: "m68k"}, []string{"."}); err == nil {
		t.Error("an unknown architecture was checked")
	}
	got, err := check(target{dir: t.TempDir(), arch: "arm64"}, []string{"./..."})
	if err == nil && len(got.faults) == 0 {
		t.Error("an empty directory was checked")
	}
}
