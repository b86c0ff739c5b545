package vmtest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// AddProgram adds a program of this machine, and the libraries it is linked with,
// to the files of a guest. In the guest it lies at to, the libraries where they are
// here.
func AddProgram(t testing.TB, files map[string]string, to, program string) {
	t.Helper()
	files[to] = program
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatalf("libraries of %s: %v", program, err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if filepath.IsAbs(word) {
			files[word] = word
		}
	}
}
