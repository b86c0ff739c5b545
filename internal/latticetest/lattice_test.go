package latticetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systems are those the program is built for; cgo is on where files use it.
var systems = []struct{ os, cgo string }{{"linux", "0"}, {"windows", "0"}, {"darwin", "1"}}

// listAll returns the packages of the module in dir on every system.
func listAll(t *testing.T, dir string) (module string, packages []pkg) {
	t.Helper()
	for _, system := range systems {
		cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Module", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS="+system.os, "GOARCH=amd64", "CGO_ENABLED="+system.cgo)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list for %s: %v", system.os, err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var listed struct {
				ImportPath string
				Imports    []string
				Module     struct{ Path string }
			}
			if err := dec.Decode(&listed); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			module = listed.Module.Path
			packages = append(packages, pkg{listed.ImportPath, listed.Imports})
		}
	}
	return module, packages
}

func TestImportLattice(t *testing.T) {
	module, packages := listAll(t, filepath.Join("..", ".."))
	if len(packages) < 5 {
		t.Fatalf("go list knows only %d packages of %q", len(packages), module)
	}
	for _, v := range violations(module, packages) {
		t.Error(v)
	}
}

func TestPlantedViolations(t *testing.T) {
	const m = "example.org/m"
	tests := map[string]struct {
		imports map[string][]string // folder → imports, ours start with ./
		want    string              // "" means clean
	}{
		"downwards":                    {map[string][]string{"router": {"./sandbox", "./app", "./internal/fdwire", "net"}}, ""},
		"inside a folder":              {map[string][]string{"sandbox/wire": {"./sandbox"}, "sandbox": {"./sandbox/wire"}}, ""},
		"client":                       {map[string][]string{"agent/client": {"./agent/api"}, "tray": {"./agent/client"}}, ""},
		"worker wiring":                {map[string][]string{"agent/worker": {"./router", "./wasmhost", "./data", "./linuxhost"}}, ""},
		"host to consent":              {map[string][]string{"linuxhost": {"./consent"}}, "linuxhost may not import consent"},
		"wasm host to consent":         {map[string][]string{"wasmhost/abi": {"./consent"}}, "wasmhost/abi may never reach consent"},
		"host to consent by detour":    {map[string][]string{"vmhost": {"./internal/x"}, "internal/x": {"./consent"}}, "vmhost may never reach consent: vmhost > internal/x > consent"},
		"worker to consent":            {map[string][]string{"agent/worker": {"./consent"}}, "agent/worker may never reach consent"},
		"tray to agent":                {map[string][]string{"tray": {"./agent"}}, "tray may never reach agent"},
		"tray to agent by detour":      {map[string][]string{"tray": {"./agent/client"}, "agent/client": {"./agent"}}, "tray may never reach agent"},
		"command line to the store":    {map[string][]string{"cmd/consentry/internal/cli": {"./consent/chain"}, "consent/chain": {"./consent"}}, "cmd/consentry/internal/cli may never reach consent: "},
		"command line to the chain":    {map[string][]string{"cmd/consentry/internal/cli": {"./consent/chain"}, "consent/chain": {"./app"}, "cmd/consentry-agent": {"./agent"}}, ""},
		"guestinit to agent":           {map[string][]string{"guestinit": {"./agent/api"}}, "guestinit may never reach agent/api"},
		"guestinit to consent":         {map[string][]string{"guestinit": {"./consent"}}, "guestinit may never reach consent"},
		"guestinit to oci":             {map[string][]string{"guestinit": {"./oci"}}, "guestinit may never reach oci"},
		"consent to net":               {map[string][]string{"consent": {"net"}}, "consent may not import net"},
		"consent to os/exec":           {map[string][]string{"consent/store": {"os/exec"}}, "consent/store may not import os/exec"},
		"consent to sandbox":           {map[string][]string{"consent": {"./sandbox"}}, "consent may not import sandbox"},
		"app imports":                  {map[string][]string{"app": {"./internal/x"}}, "app may not import internal/x"},
		"sandbox to router":            {map[string][]string{"sandbox": {"./router"}}, "sandbox may not import router"},
		"router to data":               {map[string][]string{"router": {"./data"}}, "router may not import data"},
		"internal upwards":             {map[string][]string{"internal/x": {"./oci"}}, "internal/x may not import oci"},
		"unknown folder":               {map[string][]string{"util": nil}, "util is in no rule"},
		"root package":                 {map[string][]string{".": nil}, ". is in no rule"},
		"similar name is not the same": {map[string][]string{"consentx": nil}, "consentx is in no rule"},
		"fixture in a program":         {map[string][]string{"cmd/consentry": {"./internal/vmtest"}}, "for tests only"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var packages []pkg
			for folder, imports := range tc.imports {
				p := pkg{path: strings.TrimSuffix(m+"/"+folder, "/.")}
				for _, i := range imports {
					p.imports = append(p.imports, strings.Replace(i, "./", m+"/", 1))
				}
				packages = append(packages, p)
			}
			got := strings.Join(violations(m, packages), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("want %q, have:\n%s", tc.want, got)
			}
		})
	}
}

// A violation in a file of one system only is found by the same way as in the
// real tree.
func TestPlantedInARealModule(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                    "module example.org/m\n\ngo 1.26\n",
		"consent/consent.go":        "package consent\n",
		"vmhost/vmhost.go":          "package vmhost\n",
		"vmhost/machine_darwin.go":  "package vmhost\n\nimport \"C\"\n\nimport _ \"example.org/m/consent\"\n",
		"vmhost/machine_test.go":    "package vmhost\n\nimport _ \"example.org/m/oci\"\n",
		"oci/oci.go":                "package oci\n",
		"consent/clock_windows.go":  "package consent\n\nimport _ \"os/exec\"\n",
		"consent/harmless_other.go": "package consent\n\nimport _ \"strings\"\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := violations(listAll(t, dir))
	want := []string{
		"consent may not import os/exec",
		"vmhost may never reach consent: vmhost > consent",
		"vmhost may not import consent",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("want:\n%s\nhave:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}
