package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// contender starts true in a sandbox and waits for its end.
type contender struct {
	name string
	wait func() error // until it is ready for its turn; not timed. nil: it always is
	run  func(round int) error
}

func main() {
	rounds := flag.Int("rounds", 50, "how often each starts")
	ballast := flag.Int("heap", 0, "MiB of heap in the starting process, to show that it does not matter")
	launcher := flag.String("launcher", "bin/consentry-launch", "program that launches ours")
	whole := flag.String("whole", "bin/consentry-agent", "the same, with everything in it; \"\" leaves it out")
	flag.Parse()
	held := make([]byte, *ballast<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	err := compare(*rounds, *launcher, *whole)
	held = held[:0] // it was there all the time
	if err != nil || len(held) > 0 {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(1)
	}
}

func compare(rounds int, launcher, whole string) (err error) {
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the peers' root is another id
		return err
	}
	root, err := rootFS(dir)
	if err != nil {
		return err
	}
	list, done, err := contenders(dir, root, launcher, whole)
	if err != nil {
		return err
	}
	defer done()
	took := map[string][]float64{}
	for round := range rounds + 1 {
		for _, c := range list {
			if err := awaitTurn(list); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			began := time.Now()
			if err := c.run(round); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 { // the first fills caches
				took[c.name] = append(took[c.name], float64(time.Since(began).Microseconds())/1000)
			}
		}
	}
	show(list, took)
	return nil
}

// awaitTurn lets what is made in the background be done, so that no turn pays
// for another's.
func awaitTurn(list []contender) error {
	for _, c := range list {
		if c.wait == nil {
			continue
		}
		if err := c.wait(); err != nil {
			return err
		}
	}
	return nil
}

// show prints the medians, and the medians of ours as parts of each peer's in
// the same round.
func show(list []contender, took map[string][]float64) {
	ours := took[list[0].name]
	fmt.Printf("%-18s %10s %10s %14s\n", "", "median ms", "least ms", "ours / this")
	for _, c := range list {
		var ratios []float64
		for i, t := range took[c.name] {
			ratios = append(ratios, ours[i]/t)
		}
		fmt.Printf("%-18s %10.2f %10.2f %14.2f\n", c.name, median(took[c.name]), slices.Min(took[c.name]), median(ratios))
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// rootFS is busybox and the directories that a runtime mounts on.
func rootFS(dir string) (string, error) {
	root := filepath.Join(dir, "root")
	for _, name := range []string{"bin", "proc", "sys", "dev", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return "", err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	return root, os.WriteFile(filepath.Join(root, "bin/true"), text, 0o755)
}

func contenders(dir, root, launcher, whole string) ([]contender, func(), error) {
	ready, readyDone, err := host("ours, ready", filepath.Join(dir, "ready"), root, launcher, true)
	if err != nil {
		return nil, nil, err
	}
	anew, anewDone, err := host("ours, anew", filepath.Join(dir, "anew"), root, launcher, false)
	if err != nil {
		return nil, nil, err
	}
	list := []contender{ready, anew}
	ends := []func(){readyDone, anewDone}
	if whole != "" {
		one, oneDone, err := host("ours, one program", filepath.Join(dir, "one"), root, whole, false)
		if err != nil {
			return nil, nil, err
		}
		list, ends = append(list, one), append(ends, oneDone)
	}
	thread, err := newPeerThread()
	if err != nil {
		return nil, nil, err
	}
	done := func() {
		for _, end := range append(ends, thread.end) {
			end()
		}
	}
	peers, err := peersOf(dir, root, thread)
	return append(list, peers...), done, err
}

const firstIDs = 0x20000000

// counter lends every block of ids once.
type counter struct{ next atomic.Uint32 }

func (c *counter) Lend() (uint32, error) { return firstIDs + c.next.Add(1)<<16, nil }

func (*counter) Return(uint32) {}

// host is ours, started by the program at path: from a sandbox that waits, as
// the second start of an agent is, or anew, as its first.
func host(name, state, root, path string, ready bool) (contender, func(), error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return contender{}, nil, err
	}
	h := linuxhost.New(linuxhost.Config{Self: path, StateDir: state})
	if err := h.Check(context.Background()); err != nil {
		return contender{}, nil, err
	}
	done := func() {
		if err := h.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "launch:", err)
		}
	}
	c := contender{name: name}
	if ready {
		h.KeepReady(&counter{})
		c.wait = func() error { return awaitReady(h) }
		if err := runTrue(h, "first", root, firstIDs); err != nil {
			return contender{}, done, err
		}
	}
	runs := 0
	c.run = func(int) error {
		runs++
		base := uint32(firstIDs)
		if waiting := h.Ready(); len(waiting) > 0 {
			base = waiting[0]
		}
		return runTrue(h, fmt.Sprintf("bench%d", runs), root, base)
	}
	return c, done, nil
}

const readyTime = 10 * time.Second

func awaitReady(h *linuxhost.Host) error {
	for began := time.Now(); len(h.Ready()) < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > readyTime {
			return errors.New("no sandbox is made ready")
		}
	}
	return nil
}

func runTrue(h *linuxhost.Host, id, root string, base uint32) error {
	ctx := context.Background()
	app, err := h.Start(ctx, sandbox.Spec{
		ID: id, Name: "true", Hostname: "bench",
		Process: sandbox.Process{Args: []string{"/bin/true"}, Env: []string{"PATH=/bin"}},
		Image:   &sandbox.Image{Lower: []string{root}, IDBase: base},
		Waived:  []string{sandbox.WaiveLSM},
	}, nil)
	if err != nil {
		return err
	}
	exit, err := app.Wait(ctx)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit %+v", exit)
	}
	return err
}
