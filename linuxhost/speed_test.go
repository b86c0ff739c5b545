//go:build linux

package linuxhost_test

import (
	"context"
	"os"
	"testing"
)

// BenchmarkTrue is start to exit of a static program with all walls.
func BenchmarkTrue(b *testing.B) {
	machine := newBench(b)
	for b.Loop() {
		spec := machine.spec("/bin/true")
		spec.Process.Stdio = [3]*os.File{}
		app, err := machine.host.Start(context.Background(), spec, nil)
		must(b, err)
		exit, err := app.Wait(context.Background())
		must(b, err)
		if exit.Code != 0 {
			b.Fatalf("exit %+v", exit)
		}
	}
}
