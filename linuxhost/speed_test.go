//go:build linux

package linuxhost_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"
)

// BenchmarkTrue is start to exit of a static program with all walls; the
// median and the least say more than the mean on a busy machine.
func BenchmarkTrue(b *testing.B) {
	machine := newBench(b)
	var took []time.Duration
	for b.Loop() {
		spec := machine.spec("/bin/true")
		spec.Process.Stdio = [3]*os.File{}
		began := time.Now()
		app, err := machine.host.Start(context.Background(), spec, nil)
		must(b, err)
		exit, err := app.Wait(context.Background())
		must(b, err)
		took = append(took, time.Since(began))
		if exit.Code != 0 {
			b.Fatalf("exit %+v", exit)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[0].Microseconds())/1000, "least-ms")
}
