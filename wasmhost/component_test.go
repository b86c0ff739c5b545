package wasmhost

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// wrapped is a component as tools build it: an adapter, which imports what is
// not here, and the program.
func wrapped(program []byte) []byte {
	adapter := module("\x01\x01\x60\x00\x00", "\x02\x01\x0f__main_module__\x06_start\x00\x00")
	out := []byte(componentHeader)
	for _, core := range [][]byte{adapter, program} {
		out = append(out, sectionCoreModule)
		out = append(wasmbin.AppendU32(out, uint32(len(core))), core...)
	}
	return append(out, "\x0a\x13\x01\x00\x0ewasi:cli/run@1\x05\x00"...)
}

// The program in a component runs, and is identified by the component.
func TestComponentOfPreview1(t *testing.T) {
	path := buildC(t, `#include <stdio.h>
int main(void) { puts("from within"); return 3; }`)
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "component.wasm")
	raw := wrapped(program)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	about, err := Inspect(bytes.NewReader(raw), int64(len(raw)))
	if err != nil || !about.Component || about.Size != int64(len(raw)) {
		t.Fatalf("%+v, error %v", about, err)
	}
	s := begin(t, file, sandbox.Spec{}, &testBroker{})
	if exit := s.wait(20 * time.Second); exit.Code != 3 || s.out.String() != "from within\n" {
		t.Errorf("exit %+v, output %q", exit, s.out)
	}
}

// A component that the usual tool made runs as well; scripts/wasm-fixtures.sh
// makes it again.
func TestComponentOfARealTool(t *testing.T) {
	spec := sandbox.Spec{Process: sandbox.Process{Args: []string{"app", "x"}}}
	s := begin(t, "testdata/hello.component.wasm", spec, &testBroker{})
	if exit := s.wait(20 * time.Second); exit.Code != 3 || s.out.String() != "from a component, 2\n" {
		t.Errorf("exit %+v, output %q, errors %q", exit, s.out, s.err)
	}
}

// So does one of a program in Rust, with the files it was given and no others.
func TestComponentOfRust(t *testing.T) {
	given := t.TempDir()
	if err := os.WriteFile(filepath.Join(given, "greeting"), []byte("hi"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, mounts := range map[string][]sandbox.Mount{
		"from Rust, Ada, Ok(\"hi\")\n": {{Source: given, Target: "/", ReadOnly: true}},
		"from Rust, Ada, Err(":         nil,
	} {
		spec := sandbox.Spec{Process: sandbox.Process{Args: []string{"app", "Ada"}}, Mounts: mounts}
		s := begin(t, "testdata/hello-rust.component.wasm", spec, &testBroker{})
		if exit := s.wait(20 * time.Second); exit.Code != 4 || !strings.HasPrefix(s.out.String(), want) {
			t.Errorf("exit %+v, output %q, errors %q; want %q", exit, s.out, s.err, want)
		}
	}
}
