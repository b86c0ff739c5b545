package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"
)

const cliName = "ours, whole CLI"

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
	cliPath := flag.String("cli", "bin/consentry", "the command line program, as a whole process; \"\" leaves it out")
	atOnce := flag.Int("at-once", 0, "start so many at the same moment instead")
	callRounds := flag.Int("calls", 0, "compare the cost of system calls instead, in so many rounds")
	if len(os.Args) == 3 && os.Args[1] == callsName {
		exitWith(callsMain(os.Args[2]))
	}
	flag.Parse()
	if *callRounds > 0 {
		exitWith(compareCalls(*callRounds, *launcher))
	}
	if *atOnce > 0 {
		exitWith(compareAtOnce(*atOnce, *launcher))
	}
	held := make([]byte, *ballast<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	err := compare(*rounds, *launcher, *whole, *cliPath)
	runtime.KeepAlive(held)
	exitWith(err)
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func compare(rounds int, launcher, whole, cliPath string) (err error) {
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
	list, done, err := contenders(dir, root, launcher, whole, cliPath)
	defer done()
	if err != nil {
		return err
	}
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
	fmt.Printf("%-18s %10s %10s %14s %14s\n", "", "median ms", "least ms", "ready / this", "CLI / this")
	for _, c := range list {
		fmt.Printf("%-18s %10.2f %10.2f %14s %14s\n", c.name, median(took[c.name]), slices.Min(took[c.name]),
			ratio(took[list[0].name], took[c.name]), ratio(took[cliName], took[c.name]))
	}
}

// ratio is empty where one of the two did not take part.
func ratio(ours, theirs []float64) string {
	var all []float64
	for i := range min(len(ours), len(theirs)) {
		all = append(all, ours[i]/theirs[i])
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", median(all))
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

func contenders(dir, root, launcher, whole, cliPath string) (list []contender, done func(), err error) {
	var ends []func()
	done = func() {
		for _, end := range ends {
			end()
		}
	}
	add := func(name, path string, ready, settle bool) {
		if err != nil {
			return
		}
		var o *ours
		if o, err = newOurs(filepath.Join(dir, strconv.Itoa(len(list))), root, path, ready); err == nil {
			ends = append(ends, o.end)
			list = append(list, contender{name: name, wait: o.wait, run: func(int) error { return o.run(settle) }})
		}
	}
	add("ours, ready", launcher, true, false)
	add("… nothing left", launcher, true, true)
	add("ours, anew", launcher, false, false)
	if whole != "" {
		add("ours, one program", whole, false, false)
	}
	if err != nil {
		return nil, done, err
	}
	if cliPath != "" {
		c, err := newCLI(dir, root, cliPath)
		if c != nil {
			ends = append(ends, c.end)
		}
		if err != nil {
			return nil, done, err
		}
		list = append(list, contender{name: cliName, wait: c.wait, run: c.run})
	}
	thread, err := newPeerThread()
	if err != nil {
		return nil, done, err
	}
	ends = append(ends, thread.end)
	peers, err := peersOf(dir, root, thread)
	return append(list, peers...), done, err
}
