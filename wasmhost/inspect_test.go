package wasmhost

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

const manifest = `{"version":1,"rights":[{"kind":"net.connect","target":"example.org:443","reason":"news"}]}`

func customSection(name, body string) string {
	return "\x00" + string(wasmbin.AppendU32(nil, uint32(len(name)))) + name + body
}

func importSection(pairs ...string) string {
	out := "\x02" + string(wasmbin.AppendU32(nil, uint32(len(pairs)/2)))
	for i, text := range pairs {
		out += string(wasmbin.AppendU32(nil, uint32(len(text)))) + text
		if i%2 == 1 {
			out += "\x00\x00"
		}
	}
	return out
}

func TestInspectManifest(t *testing.T) {
	raw := module(typeNone, importSection("consentry", "http_fetch"), customSection("other", "x"),
		customSection(app.ManifestSection, manifest))
	m, err := Inspect(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Manifest == nil || len(m.Manifest.Rights) != 1 || m.Manifest.Rights[0].Target != "example.org:443" {
		t.Errorf("manifest %+v", m.Manifest)
	}
	if len(m.Imports) != 1 || m.Imports[0] != (Import{"consentry", "http_fetch", true}) || m.Command {
		t.Errorf("module %+v", m)
	}
}

func TestInspectRefuses(t *testing.T) {
	cases := []struct {
		name, file string
		is         error
		text       string
	}{
		{"elf", "\x7fELF\x02\x01\x01", ErrNotWasm, "ELF"},
		{"zip", "PK\x03\x04\x14\x00\x00\x00", ErrNotWasm, "zip"},
		{"windows", "MZ\x90\x00\x03\x00\x00\x00", ErrNotWasm, "OCI images"},
		{"text", "(module (func))", ErrNotWasm, "wat2wasm"},
		{"empty", "", ErrNotWasm, "empty"},
		{"short", "\x00as", ErrNotWasm, "WebAssembly modules (.wasm) and OCI images"},
		{"version 2", "\x00asm\x02\x00\x00\x00", ErrNotWasm, "version"},
		{"component", componentHeader, ErrComponent, "component"},
		{"component of preview 2", componentHeader + "\x0a\x1d\x02\x00\x0ewasi:cli/run@1\x05\x00\x00\x06wasi:x\x03\x01", ErrComponent, "it imports wasi:cli/run@1, wasi:x; build it"},
		{"component of sockets", componentHeader + "\x0a\x15\x01\x00\x10wasi:sockets/tcp\x05\x00", ErrSockets, "http_fetch"},
		{"component cut short", componentHeader + "\x01\x7f\x00", nil, "damaged"},
		{"cut short", wasmbin.Header + "\x01\x7f\x00", nil, "ends behind the file"},
		{"bad manifest", string(module(customSection(app.ManifestSection, `{"version":2,"rights":[]}`))), nil, "version 2"},
		{"two manifests", string(module(customSection(app.ManifestSection, manifest), customSection(app.ManifestSection, manifest))), nil, "two manifests"},
		{"huge manifest", string(module(customSection(app.ManifestSection, strings.Repeat(" ", app.MaxManifest+1)))), nil, "more than 65536"},
		{"import count", string(module("\x02\xff\xff\xff\xff\x0f")), nil, "imports"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Inspect(strings.NewReader(c.file), int64(len(c.file)))
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("error %v, want %q", err, c.text)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v is not %v", err, c.is)
			}
		})
	}
}

// Start refuses the same way as Inspect, and what cannot run here.
func TestStartRefuses(t *testing.T) {
	command := []string{oneFunc, exportStart, endless}
	cases := []struct {
		name   string
		module []byte
		text   string
	}{
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"elf", []byte("\x7fELF\x02\x01\x01\x00"), "ELF"},
		{"sockets of WasmEdge", module(append([]string{typeNone, importSection("wasi_snapshot_preview1", "sock_open")}, command...)...), "http_fetch"},
		{"sockets of WASIX", module(append([]string{typeNone, importSection("wasix_32v1", "sock_connect")}, command...)...), "http_fetch"},
		{"preview 0", module(append([]string{typeNone, importSection("wasi_unstable", "fd_write")}, command...)...), "preview 0"},
		{"browser", module(append([]string{typeNone, importSection("gojs", "runtime.wasmExit")}, command...)...), "GOOS=wasip1"},
		{"unknown", module(append([]string{typeNone, importSection("env", "f")}, command...)...), "env.f"},
		{"library", module(typeNone, oneFunc, endless), "no _start"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := tryBegin(t, writeModule(t, c.module), sandbox.Spec{}, &testBroker{})
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %q", err, c.text)
			}
		})
	}
}

// A module that is not the one that was looked at does not start.
func TestStartChecksDigest(t *testing.T) {
	path := writeModule(t, module(typeNone, oneFunc, exportStart, endless))
	spec := sandbox.Spec{Module: &sandbox.Module{Path: path, Digest: "sha256:00"}}
	if _, err := New(Config{}).Start(t.Context(), spec, &testBroker{}); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("error %v", err)
	}
}

func TestStdio(t *testing.T) {
	path := buildC(t, `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
	char line[64];
	for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
	printf("env %s\n", getenv("GREETING"));
	while (fgets(line, sizeof line, stdin)) printf("line %s", line);
	fprintf(stderr, "to stderr, tty %d\n", isatty(1));
	return 42;
}`)
	spec := sandbox.Spec{Process: sandbox.Process{Args: []string{"app", "one", "two words"}, Env: []string{"GREETING=hi there"}}}
	s := begin(t, path, spec, &testBroker{})
	s.stdin.WriteString("a\nb\n")
	s.stdin.Close()
	exit := s.wait(1e10)
	want := "arg app\narg one\narg two words\nenv hi there\nline a\nline b\n"
	if exit.Code != 42 || s.out.String() != want || s.err.String() != "to stderr, tty 0\n" {
		t.Errorf("exit %+v, output %q, errors %q", exit, s.out, s.err)
	}
}

func TestPosture(t *testing.T) {
	path := buildC(t, `int main(void){ return 0; }`)
	s := begin(t, path, sandbox.Spec{Mounts: []sandbox.Mount{{Source: t.TempDir(), Target: "/data", ReadOnly: true}}}, &testBroker{})
	p, err := s.instance.Posture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, w := range p.Walls {
		if !w.Stands {
			t.Errorf("wall %s does not stand", w.Name)
		}
		text += w.Name + ": " + w.Detail + "\n"
	}
	for _, want := range []string{"512 MiB", "/data read-only", "no sockets"} {
		if !strings.Contains(text, want) {
			t.Errorf("posture does not say %q:\n%s", want, text)
		}
	}
	s.wait(1e10)
}

func FuzzInspect(f *testing.F) {
	f.Add(module(typeNone, importSection("consentry", "http_fetch"), customSection(app.ManifestSection, manifest), exportStart))
	f.Add([]byte(componentHeader))
	f.Add([]byte(wasmbin.Header + "\x00\x80\x80\x80\x80\x00"))
	if raw, err := os.ReadFile("../examples/wasm-c/main.c"); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Inspect(bytes.NewReader(raw), int64(len(raw)))
		if err == nil && m.Size != int64(len(raw)) {
			t.Errorf("size %d of %d bytes", m.Size, len(raw))
		}
		if err == nil {
			_ = m.Runnable() // must not panic
		}
	})
}
