//go:build linux

package attack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost/qemu"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if code, handled := linuxhost.Main(os.Args[1], os.Args[2:]); handled {
			syscall.Exit(code) // os.Exit waits a second for the race detector
		}
		if code, handled := qemu.Main(os.Args[1]); handled {
			syscall.Exit(code)
		}
		if os.Args[1] == "attack-agent" {
			syscall.Exit(agentRole(os.Args[2:]))
		}
	}
	if code, handled := asUser(); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hosts are those this machine can run OCI apps on.
func hosts(t *testing.T) map[string]sandbox.Host {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	state := t.TempDir()
	linux := linuxhost.New(linuxhost.Config{Self: self, StateDir: state, FenceSocket: os.Getenv(fenceEnv)})
	t.Cleanup(func() { must(t, linuxhost.Cleanup(context.Background(), state, nil)) })
	if err := linux.Check(context.Background()); err != nil {
		t.Skipf("the native Linux host lacks a part: %v", err)
	}
	mustStand(t, linux)
	return map[string]sandbox.Host{linux.Name() + hostSuffix(): linux}
}

// brokerBeside stands for the agent: it must never be asked.
type brokerBeside struct {
	sandbox.Broker
	t *testing.T
}

func (b brokerBeside) Dial(context.Context, sandbox.Flow) (net.Conn, error) {
	b.t.Error("somebody asked for a flow")
	return nil, sandbox.ErrDenied
}

// image builds a root file system that holds the probe program, plainly,
// set-uid and with file capabilities.
func image(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "etc", "tmp"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777))
	program := filepath.Join(root, attack.ProbePath)
	text := probeProgram(t)
	must(t, os.WriteFile(program, text, 0o755))
	for _, name := range []string{"setuid", "filecaps"} {
		must(t, os.WriteFile(filepath.Join(root, name), text, 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "setuid"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(t, unix.Setxattr(filepath.Join(root, "filecaps"), "security.capability", attack.AllCapabilities(), 0))
	return root
}

// probeProgram is built here, or was brought along.
func probeProgram(t *testing.T) []byte {
	t.Helper()
	program := probeInGuest
	switch built := os.Getenv(probeEnv); {
	case built != "": // for a user without a compiler
		program = built
	case !inGuest():
		program = buildProbe(t)
	}
	text, err := os.ReadFile(program)
	must(t, err)
	return text
}

func buildProbe(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return program
}

// outside is what an app might reach on the host, watched for change.
type outside struct {
	*attack.Outside
	victim *exec.Cmd
	before string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	laid, err := attack.NewOutside(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, laid.Close()) })
	o := &outside{Outside: laid, victim: exec.Command("sleep", "600")}
	must(t, o.victim.Start())
	t.Cleanup(func() { o.victim.Process.Kill(); o.victim.Wait() })
	o.before = o.state(t)
	return o
}

func (o *outside) targets() []string { return o.Targets(o.victim.Process.Pid) }

// state is a digest of what must not change: the program that launches,
// the kernel's knobs, mounts, interfaces, routes and modules.
func (o *outside) state(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	var all bytes.Buffer
	for _, path := range []string{
		self, "/proc/self/mountinfo", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
		"/proc/sys/fs/suid_dumpable", "/proc/sys/net/ipv4/ip_forward", "/proc/net/route", "/proc/modules", "/proc/keys",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error())
		}
		if path == "/proc/keys" { // its lines count uses and time
			continue
		}
		if path == "/proc/self/mountinfo" {
			text = mountsOfApps(text)
		}
		fmt.Fprintf(&all, "%s %x\n", path, sha256.Sum256(text))
	}
	return all.String()
}

// mountsOfApps are the mounts that a sandbox makes; other tests of this machine
// make other ones meanwhile.
func mountsOfApps(mountinfo []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(mountinfo) {
		for _, part := range []string{"scaffold", " - overlay ", "/TestAttacks", " mask "} {
			if bytes.Contains(line, []byte(part)) {
				kept = append(kept, line...)
				break
			}
		}
	}
	return kept
}

func (o *outside) unchanged(t *testing.T) {
	t.Helper()
	if after := o.state(t); after != o.before {
		t.Errorf("the host changed:\n%s\n%s", o.before, after)
	}
	if err := o.victim.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the process outside: %v", err)
	}
	if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.victim.Process.Pid)); err != nil || bytes.Contains(raw, []byte(") Z")) || bytes.Contains(raw, []byte(") t")) {
		t.Errorf("the process outside is %s %v", raw, err)
	}
	if err := o.Touched(); err != nil {
		t.Error(err)
	}
}

func TestAttacks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the native host does not run without it yet")
	}
	root := image(t)
	for hostName, host := range hosts(t) {
		o := newOutside(t)
		for n, p := range attack.Probes {
			t.Run(fmt.Sprintf("%s/%02d %s", hostName, p.Row, p.Name), func(t *testing.T) {
				spec := sandbox.Spec{
					ID: fmt.Sprintf("attack%d", n), Name: p.Name, Waived: []string{sandbox.WaiveLSM},
					Image:  &sandbox.Image{Lower: []string{root}, IDBase: 0x30000000},
					Stop:   sandbox.StopRule{Grace: time.Second},
					Mounts: []sandbox.Mount{{Source: o.Shared, Target: "/shared", ReadOnly: true}},
				}
				if p.Own {
					spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: o.Own, Target: "/own"})
				}
				report, err := attack.Run(context.Background(), host, spec, brokerBeside{t: t}, p, o.targets())
				must(t, err)
				if err := p.Judge(report); err != nil {
					t.Error(err)
				}
				logDenials(t)
				o.unchanged(t)
			})
		}
	}
}

// TestJudgeSeesFailures: a probe that was not carried out is not a pass.
func TestJudgeSeesFailures(t *testing.T) {
	p := attack.Probe{Name: "x", Want: map[string][]string{"a": {"EPERM"}, "b": {"EPERM", "ENOENT"}}}
	held := attack.Report{Attempts: []attack.Attempt{{Try: "a", Result: "EPERM"}, {Try: "b", Result: "ENOENT"}}}
	if err := p.Judge(held); err != nil {
		t.Fatalf("all walls held, and yet: %v", err)
	}
	for name, r := range map[string]attack.Report{
		"nothing":    {},
		"one missed": {Attempts: held.Attempts[:1]},
		"worked":     {Attempts: []attack.Attempt{{Try: "a", Result: attack.Done}, held.Attempts[1]}},
		"stranger":   {Attempts: append([]attack.Attempt{{Try: "c", Result: "EPERM"}}, held.Attempts...)},
		"crashed":    {Attempts: held.Attempts, Exit: sandbox.Exit{Code: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if p.Judge(r) == nil {
				t.Fatal("passed")
			}
		})
	}
}

// TestAttacksWorkWithoutWalls: the probes can tell a wall from none. Run bare
// on this machine, as root, harmless ones get through or to another errno.
func TestAttacksWorkWithoutWalls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: without it the kernel refuses most of these by itself")
	}
	root := image(t)
	o := newOutside(t)
	for _, name := range []string{"namespaces", "bpf", "perf", "keys", "userfaultfd", "abstract", "pidfd", "raw", "handles"} {
		for _, p := range attack.Probes {
			if p.Name != name {
				continue
			}
			t.Run(name, func(t *testing.T) {
				cmd := exec.Command(filepath.Join(root, attack.ProbePath), append([]string{name}, o.targets()...)...)
				out, err := cmd.Output()
				must(t, err)
				attempts, err := attack.Parse(out)
				must(t, err)
				report := attack.Report{Attempts: attempts}
				if p.Judge(report) == nil {
					t.Errorf("passes without any wall: %s", out)
				}
			})
		}
	}
	if o.Touched() == nil {
		t.Error("the sockets outside do not see that they were reached")
	}
}
