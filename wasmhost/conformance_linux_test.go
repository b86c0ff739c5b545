package wasmhost

import (
	"net"
	"syscall"
	"testing"
)

func baseDir(t *testing.T) string { return t.TempDir() }

// special makes what only Unix has in its folders.
func special(t *testing.T, fifo, socket string) error {
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err == nil {
		t.Cleanup(func() { listener.Close() })
	}
	return err
}

// The calls themselves from C, and the libraries of two more languages.
func TestConformance(t *testing.T) {
	for name, language := range map[string]struct {
		build func(testing.TB) string
		want  string
	}{
		"c": {func(t testing.TB) string {
			buildC(t, "int main(void){return 0;}")
			return clang(t, "testdata/conformance.c", "-O1")
		}, conformance},
		"go":   {func(t testing.TB) string { return buildGo(t, "./testdata/conformance_go") }, conformanceGo},
		"rust": {func(t testing.TB) string { return buildRust(t, "testdata/conformance.rs") }, conformanceRust},
	} {
		t.Run(name, func(t *testing.T) { conforms(t, language.build(t), language.want) })
	}
}
