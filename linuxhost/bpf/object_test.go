//go:build linux

package bpf_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestObjectsAreWhatTheSourceBuilds builds the committed objects anew.
func TestObjectsAreWhatTheSourceBuilds(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		t.Skip("needs clang")
	}
	if !strings.Contains(string(version), "clang version 14.") {
		t.Skipf("the objects were built by clang 14, here is %s", strings.SplitN(string(version), "\n", 2)[0])
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		t.Skip("needs the headers of libbpf (package libbpf-dev)")
	}
	text, err := os.ReadFile("generate.go")
	must(t, err)
	dir := t.TempDir()
	built := 0
	for line := range strings.Lines(string(text)) {
		command, found := strings.CutPrefix(line, "//go:generate go tool bpf2go ")
		if !found {
			continue
		}
		args := append([]string{"tool", "bpf2go", "-output-dir", dir}, strings.Fields(command)...)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		built++
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_bpfel.*"))
	must(t, err)
	if built != 3 || len(files) != 6 {
		t.Fatalf("%d builds made %v", built, files)
	}
	for _, path := range files {
		fresh, err := os.ReadFile(path)
		must(t, err)
		committed, err := os.ReadFile(filepath.Base(path))
		must(t, err)
		if !bytes.Equal(fresh, committed) {
			t.Errorf("%s is not what the source builds: go generate ./linuxhost/bpf", filepath.Base(path))
		}
	}
}
