package wasmhost

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A module of 200 kB that takes any amount of memory to compile is given up at
// the limit, which the error names.
func TestCompileMemory(t *testing.T) {
	path := writeModule(t, module(typeNone, oneFunc, exportStart, nestedLoops(50_000, 1_000)))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bombEnv+"="+path)
	begin := time.Now()
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "memory limit of compiling: more than 256 MiB") {
		t.Fatalf("%v, says %q", err, out)
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("given up after %s at %d MiB", time.Since(begin).Round(time.Millisecond), usage.Maxrss>>10)
	// The module would take tens of GiB; the race detector's shadow counts too.
	if most := int64(6 * bombLimit); usage.Maxrss<<10 > most {
		t.Errorf("took %d MiB, want at most %d", usage.Maxrss>>10, most>>20)
	}
}
