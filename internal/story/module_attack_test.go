//go:build linux

package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// hostileModule builds the program of attack/module.
func hostileModule(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("needs wasi-libc: run make deps")
	}
	out := filepath.Join(t.TempDir(), "probe.wasm")
	cmd := exec.Command("clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-w", "-I../../sdk/c", "-o", out,
		"-Wl,--stack-first", "-Wl,-z,stack-size=8388608", "../../attack/module/probe.c")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, text)
	}
	return out
}

// Rows 48 to 50 of the threat table, from within a module that a real agent
// runs: every wall holds, what is outside stays as it was, nobody is asked and
// the agent is the same process afterwards.
func TestHostileModules(t *testing.T) {
	w := newWorld(t)
	module := hostileModule(t)
	pid := w.agentPID()
	for _, p := range attack.ModuleProbes {
		t.Run(strconv.Itoa(p.Row)+" "+p.Name, func(t *testing.T) {
			outside, err := attack.NewOutside(t.TempDir())
			must(t, err)
			t.Cleanup(func() { must(t, outside.Close()) })
			args := []string{"run", "--rm", "--quiet", "--no-input", "--timeout", "3s", "--env", "PROBE=1", "--dir", outside.Module + "::/d"}
			if p.Limits.Memory > 0 {
				args = append(args, "--memory", strconv.FormatInt(p.Limits.Memory>>20, 10)+"m")
			}
			r := w.result(append(args, module, p.Name)...)
			attempts, err := attack.Parse([]byte(r.out))
			must(t, err)
			report := attack.Report{Attempts: attempts, Exit: sandbox.Exit{Code: r.code}, Stderr: r.err}
			if err := p.Judge(report); err != nil {
				t.Error(err)
			}
			if err := outside.Touched(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("49 compile bomb", func(t *testing.T) {
		begin := time.Now()
		r := w.result("run", "--rm", "--quiet", "--no-input", compileBomb(t))
		if r.code != 125 || !strings.Contains(r.err, "more than 50000 locals") {
			t.Errorf("exit %d after %s: %s", r.code, time.Since(begin), r.err)
		}
	})
	if os.Getenv("CONSENTRY_LONG") != "" {
		t.Run("49 compile bomb of memory", func(t *testing.T) {
			r := w.result("run", "--rm", "--quiet", "--no-input", memoryBomb(t))
			if r.code != 125 || !strings.Contains(r.err, "memory limit of compiling") {
				t.Errorf("exit %d: %s", r.code, r.err)
			}
		})
	}
	if now := w.agentPID(); now != pid {
		t.Errorf("the agent was process %d and is %d", pid, now)
	}
}

// oneFunction is a module whose _start has this body.
func oneFunction(t *testing.T, body []byte) string {
	t.Helper()
	raw := []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x07\x0a\x01\x06_start\x00\x00")
	code := append(wasmbin.AppendU32([]byte{1}, uint32(len(body))), body...)
	raw = append(wasmbin.AppendU32(append(raw, 10), uint32(len(code))), code...)
	path := filepath.Join(t.TempDir(), "bomb.wasm")
	must(t, os.WriteFile(path, raw, 0o600))
	return path
}

// compileBomb asks for four billion locals in a dozen bytes.
func compileBomb(t *testing.T) string {
	return oneFunction(t, append(wasmbin.AppendU32([]byte{1}, 4_000_000_000), 0x7b, 0x0b))
}

// memoryBomb nests 2,000 loops around 50,000 locals: each of them is a value of
// its own to the compiler in each of the loops.
func memoryBomb(t *testing.T) string {
	const locals, depth = 50_000, 2_000
	body := append(wasmbin.AppendU32([]byte{1}, locals), 0x7f)
	body = append(body, strings.Repeat("\x03\x40", depth)...)
	for i := range uint32(locals) {
		body = append(wasmbin.AppendU32(append(body, 0x20), i), 0x1a)
	}
	return oneFunction(t, append(body, strings.Repeat("\x0b", depth+1)...))
}
