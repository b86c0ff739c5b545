//go:build linux

package attack_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// run is a spec for a probe on an image.
func specOf(id, image string, mounts ...sandbox.Mount) sandbox.Spec {
	return sandbox.Spec{
		ID: id, Name: id, Waived: []string{sandbox.WaiveLSM},
		Image:  &sandbox.Image{Lower: []string{image}, IDBase: 0x30000000},
		Stop:   sandbox.StopRule{Grace: time.Second},
		Mounts: mounts,
	}
}

func probeNamed(t *testing.T, name string) attack.Probe {
	t.Helper()
	for _, p := range attack.Probes {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no probe %q", name)
	return attack.Probe{}
}

// TestMaskRace (row 23, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881): an app
// that shares a folder with another one swaps the place of a mount there for
// links, while the other is started again and again. A start is refused, or all
// masks are where they belong.
func TestMaskRace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := image(t)
	for hostName, host := range hosts(t) {
		o := newOutside(t)
		folder, inner := t.TempDir(), t.TempDir()
		must(t, os.WriteFile(filepath.Join(inner, "inner"), nil, 0o600))
		stop := swap(t, filepath.Join(folder, "place"))
		started, refused := 0, 0
		probe := probeNamed(t, "kernel-files")
		starts := 24
		if inGuest() { // under emulation each is as long as ten
			starts = 10
		}
		for n := range starts {
			spec := specOf(fmt.Sprintf("mask%d", n), root,
				sandbox.Mount{Source: o.Shared, Target: "/shared", ReadOnly: true},
				sandbox.Mount{Source: folder, Target: "/own"}, sandbox.Mount{Source: inner, Target: "/own/place", ReadOnly: true})
			report, err := attack.Run(context.Background(), host, spec, brokerBeside{t: t}, probe, o.targets())
			if err != nil {
				refused++
				t.Logf("refused: %v", err)
				continue
			}
			started++
			if err := probe.Judge(report); err != nil {
				t.Errorf("%s: %v", hostName, err)
			}
		}
		stop()
		if started == 0 || refused == 0 {
			t.Errorf("%s: %d starts, %d refused: no race was seen", hostName, started, refused)
		}
		o.unchanged(t)
	}
}

// swap makes path a directory and links to what matters, in turn.
func swap(t *testing.T, path string) (stop func()) {
	t.Helper()
	over, done := make(chan struct{}), make(chan error, 1)
	links := []string{"/proc", "/proc/sys", "../../proc", "/dev", "/", "/proc/self/root/proc", "/etc"}
	steps := []func(n int) error{
		func(int) error { return os.Mkdir(path, 0o755) },
		func(int) error { return os.Remove(path) },
		func(n int) error { return os.Symlink(links[n%len(links)], path) },
		func(int) error { return os.Remove(path) },
	}
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			for _, step := range steps {
				// A start may make the place too, or hold it.
				if err := step(n); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
					done <- err
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	return func() { close(over); must(t, <-done) }
}

// traced is a host whose next app is watched by somebody who looks too slowly.
type traced struct {
	sandbox.Host
	lost chan uint64
}

func (h traced) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	app, err := h.Host.Start(ctx, spec, broker)
	if err != nil {
		return nil, err
	}
	go func() {
		lost := uint64(0)
		//nolint:errcheck // what was lost counts
		app.(sandbox.Tracer).Trace(ctx, func(e sandbox.TraceEvent) error {
			lost += e.Lost
			time.Sleep(time.Millisecond)
			return nil
		})
		h.lost <- lost
	}()
	return app, nil
}

// TestEventFlood (row 64): an app makes more events than there is room for. What
// is judged stays right, and the loss is counted.
func TestEventFlood(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := image(t)
	for hostName, host := range hosts(t) {
		if !judgedByPrograms(t, host) {
			t.Logf("%s: no programs, no events", hostName)
			continue
		}
		o := newOutside(t)
		p := attack.Probe{Row: 64, Name: "event-flood", Want: map[string][]string{"wrong verdicts": {attack.None}, "open for writing": {"EROFS"}}}
		spec := specOf("flood", root, sandbox.Mount{Source: o.Shared, Target: "/shared", ReadOnly: true})
		watched := traced{host, make(chan uint64, 1)}
		report, err := attack.Run(context.Background(), watched, spec, brokerBeside{t: t}, p, append(o.targets(), "count=30000"))
		must(t, err)
		if err := p.Judge(report); err != nil {
			t.Errorf("%s: %v", hostName, err)
		}
		if lost := <-watched.lost; lost == 0 {
			t.Errorf("%s: nothing was lost, or it was not counted", hostName)
		}
		o.unchanged(t)
	}
}

// judgedByPrograms says whether eBPF programs stand on a host.
func judgedByPrograms(t *testing.T, host sandbox.Host) bool {
	t.Helper()
	for _, w := range host.(sandbox.Surveyor).Survey(t.Context()) {
		if w.Name == "eBPF cgroup programs" {
			return w.Stands
		}
	}
	return false
}

// agentRole is an agent with one app, the beacon. It says where the app's card
// ends, and waits to be killed.
func agentRole(args []string) int {
	host := linuxhost.New(linuxhost.Config{Self: "/proc/self/exe", StateDir: args[0], FenceSocket: os.Getenv(fenceEnv)})
	spec := specOf("beacon", args[1], sandbox.Mount{Source: args[2], Target: "/own"})
	spec.Process = sandbox.Process{Args: []string{attack.ProbePath, "beacon"}, Env: []string{"PATH=/bin"}}
	conn, theirs, err := fdwire.Pair()
	if err == nil {
		spec.Link = theirs
		_, err = host.Start(context.Background(), spec, nil)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go conn.Recv(&struct{}{}) //nolint:errcheck // the card, which nobody answers
	fmt.Println("up")
	time.Sleep(time.Minute)
	return 0
}

// TestKilledAgent (row 65): with the agent the network is gone, sandboxes end, and
// the next start is clean.
func TestKilledAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := image(t)
	state, folder := t.TempDir(), t.TempDir()
	agent := exec.Command("/proc/self/exe", "attack-agent", state, root, folder)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	must(t, err)
	must(t, agent.Start())
	t.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "up\n" {
		t.Fatalf("agent says %q, %v", line, err)
	}
	beacon := filepath.Join(folder, "beacon")
	within(t, "the app lives", func() bool { _, err := os.Stat(beacon); return err == nil })
	pids := beacons(t)
	must(t, agent.Process.Kill())
	within(t, "the app is dead", func() bool { return len(beacons(t)) == 0 })
	if len(pids) == 0 {
		t.Error("the app was not seen alive")
	}
	//nolint:errcheck // it may be gone already
	io.Copy(io.Discard, out)
	must(t, os.Remove(beacon))
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(beacon); err == nil {
		t.Error("something of the app lives on")
	}
	must(t, linuxhost.Cleanup(context.Background(), state, nil))
	host := linuxhost.New(linuxhost.Config{Self: "/proc/self/exe", StateDir: state, FenceSocket: os.Getenv(fenceEnv)})
	t.Cleanup(func() { must(t, host.Close()) })
	p := probeNamed(t, "inherited")
	report, err := attack.Run(context.Background(), host, specOf("next", root), brokerBeside{t: t}, p, nil)
	must(t, err)
	if err := p.Judge(report); err != nil {
		t.Error(err)
	}
}

// beacons are the processes of the probe of that name, of this test.
func beacons(t *testing.T) []int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	var pids []int
	for _, path := range lines {
		raw, err := os.ReadFile(path)
		if err == nil && strings.HasPrefix(string(raw), attack.ProbePath+"\x00beacon\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			must(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("not: %s", what)
		}
	}
}
