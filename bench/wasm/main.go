package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	rounds := flag.Int("rounds", 5, "of compute; starts have five times as many")
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
	if err := start(ctx, all, s, filepath.Join(bin, "hello.wasm"), 5*rounds); err != nil {
		return err
	}
	table(all, s)
	if instances == 0 {
		return nil
	}
	return together(ctx, all[0], filepath.Join(bin, "hello.wasm"), instances)
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

// start is from exec to exit of the command line, with compiled code cached.
func start(ctx context.Context, all []runtime, s samples, module string, rounds int) error {
	for i := range rounds + 1 {
		for _, r := range all {
			_, took, err := r.run(ctx, module)
			if err != nil {
				return err
			}
			if i > 0 { // the first fills the caches
				s.add("start to exit", r.name, float64(took))
			}
		}
	}
	return nil
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

// together runs n at once and says how long they took in all.
func together(ctx context.Context, r runtime, module string, n int) error {
	var wait sync.WaitGroup
	errs := make([]error, n)
	begin := time.Now()
	for i := range n {
		wait.Go(func() { _, _, errs[i] = r.run(ctx, module) })
	}
	wait.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			fmt.Fprintln(os.Stderr, err)
		}
	}
	fmt.Printf("%d at once: %s in all, %d failed\n", n, time.Since(begin).Round(time.Millisecond), failed)
	return nil
}
