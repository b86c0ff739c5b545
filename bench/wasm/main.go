package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runtime is one way to run a module.
type runtime struct {
	name string
	argv []string // the module's file follows
}

// ours is the first of runtimes.
func runtimes(bin string) []runtime {
	all := []runtime{
		{"consentry", []string{filepath.Join(bin, "consentry"), "run", "--rm", "-q", "--no-input"}},
		{"wazero", []string{filepath.Join(bin, "wazero"), "run", "-cachedir=" + filepath.Join(bin, "wazero-cache")}},
		{"node", []string{"node", "--no-warnings", filepath.Join(bin, "wasi.mjs")}},
		{"wasmtime", []string{filepath.Join(bin, "wasmtime")}},
	}
	return slices.DeleteFunc(all, func(r runtime) bool {
		_, err := exec.LookPath(r.argv[0])
		if err != nil {
			fmt.Printf("%s is not here: %v\n", r.name, err)
		}
		return err != nil
	})
}

func (r runtime) run(ctx context.Context, module string) (string, time.Duration, error) {
	cmd := exec.CommandContext(ctx, r.argv[0], append(slices.Clone(r.argv[1:]), module)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", r.name, err, errs.String())
	}
	return out.String(), time.Since(start), err
}

// samples are times in nanoseconds, by what was done and who did it, one of
// each round.
type samples map[string]map[string][]float64

func (s samples) add(what, who string, v float64) {
	if s[what] == nil {
		s[what] = map[string][]float64{}
	}
	s[what][who] = append(s[what][who], v)
}

// ratio is the median of ours over theirs, round by round.
func (s samples) ratio(what, ours, theirs string) float64 {
	mine, other := s[what][ours], s[what][theirs]
	list := make([]float64, min(len(mine), len(other)))
	for i := range list {
		list[i] = mine[i] / other[i]
	}
	return median(list)
}

func median[T cmp.Ordered](list []T) T {
	var none T
	if len(list) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func main() {
	bin := flag.String("bin", "", "`folder` of what scripts/bench-wasm.sh built")
	rounds := flag.Int("rounds", 4, "of compute; starts of each module have five times as many")
	instances := flag.Int("instances", 200, "at once; 0 for none")
	flag.Parse()
	if err := compare(context.Background(), *bin, *rounds, *instances); err != nil {
		log.Fatal(err)
	}
}

func compare(ctx context.Context, bin string, rounds, instances int) error {
	all, s := runtimes(bin), samples{}
	if err := compute(ctx, all, s, filepath.Join(bin, "compute.wasm"), rounds); err != nil {
		return err
	}
	plain := engine{filepath.Join(bin, "engine-cache")}
	for _, language := range []string{"C", "Rust"} {
		module := filepath.Join(bin, "hello-"+strings.ToLower(language)+".wasm")
		if err := start(ctx, all, plain, s, "start to exit, "+language, module, startsPerRound*rounds); err != nil {
			return err
		}
	}
	table(all, s)
	overhead(s)
	if instances == 0 {
		return nil
	}
	return together(ctx, all[0], filepath.Join(bin, "wait.wasm"), instances)
}

func compute(ctx context.Context, all []runtime, s samples, module string, rounds int) error {
	for range rounds {
		for _, r := range all {
			out, _, err := r.run(ctx, module)
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				fields := strings.Fields(line)
				if len(fields) != 3 {
					return fmt.Errorf("%s: output %q", r.name, line)
				}
				ns, err := strconv.ParseFloat(fields[1], 64)
				if err != nil {
					return err
				}
				s.add(fields[0], r.name, ns)
			}
		}
	}
	return nil
}

// Columns that are no runtime: plain wazero in this process, and our command
// line when it has nothing to do.
const (
	inProcess   = "wazero in process"
	commandLine = "command line"
)

// start is from exec to exit of the command line, with compiled code cached and
// the agent running.
func start(ctx context.Context, all []runtime, plain engine, s samples, what, module string, rounds int) error {
	nothing := runtime{commandLine, []string{all[0].argv[0], "help"}}
	for i := range rounds + 1 {
		time.Sleep(betweenStarts)
		for _, r := range append([]runtime{nothing}, all...) {
			_, took, err := r.run(ctx, module)
			if err != nil {
				return err
			}
			if i > 0 { // the first fills the caches
				s.add(what, r.name, float64(took))
			}
		}
		took, err := plain.run(ctx, module)
		if err != nil {
			return err
		}
		if i > 0 {
			s.add(what, inProcess, float64(took))
		}
	}
	return nil
}

const (
	startsPerRound = 5
	// betweenStarts is time for the agent to have a worker wait again.
	betweenStarts = 200 * time.Millisecond
)

// overhead says what a run costs beyond the module's own run by the engine.
func overhead(s samples) {
	for _, what := range slices.Sorted(keys(s)) {
		ours, plain, empty := s[what]["consentry"], s[what][inProcess], s[what][commandLine]
		if len(plain) == 0 {
			continue
		}
		var more, fromCommand []float64
		for i := range plain {
			more = append(more, ours[i]-plain[i])
			fromCommand = append(fromCommand, ours[i]-plain[i]-empty[i])
		}
		fmt.Printf("%s: %s more than plain wazero in process (%s); %s without what the command line takes to do nothing (%s)\n",
			what, short(more), short(plain), short(fromCommand), short(empty))
	}
}

func short(list []float64) time.Duration {
	return time.Duration(median(list)).Round(100 * time.Microsecond)
}

func table(all []runtime, s samples) {
	fmt.Print("| what | ours, median |")
	for _, r := range all[1:] {
		fmt.Printf(" ours / %s |", r.name)
	}
	fmt.Print("\n|---|---|" + strings.Repeat("---|", len(all)-1) + "\n")
	for _, what := range slices.Sorted(keys(s)) {
		fmt.Printf("| %s | %s |", what, time.Duration(median(s[what][all[0].name])).Round(time.Microsecond))
		for _, r := range all[1:] {
			fmt.Printf(" %.2f |", s.ratio(what, all[0].name, r.name))
		}
		fmt.Println()
	}
}

func keys(s samples) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range s {
			if !yield(k) {
				return
			}
		}
	}
}
