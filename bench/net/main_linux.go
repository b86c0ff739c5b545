package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/sandbox"
)

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-net:", err)
		os.Exit(1)
	}
}

// start is one of the roles, or the benchmark itself.
func start(args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch {
	case role == "serve":
		return serve()
	case role == "load":
		return load(args[1:])
	case role == "agent" && len(args) == 4:
		return agent(args[1], args[2], args[3])
	case role == worker.Name:
		os.Exit(work())
	}
	return bench(args)
}

type options struct {
	rounds, millis, connects, idle int
	tools, only, worker            string
	mtus, wanted                   string
}

func bench(args []string) error {
	var o options
	flags := flag.NewFlagSet("bench-net", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.IntVar(&o.millis, "ms", 1500, "milliseconds of each stream measurement")
	flags.IntVar(&o.connects, "connects", 500, "connections of each connect measurement")
	flags.IntVar(&o.idle, "idle", 10000, "idle flows; 0 leaves the figures at rest out")
	flags.StringVar(&o.tools, "tools", ".cache/bench-net", "where gvproxy and gvforwarder are")
	flags.StringVar(&o.only, "only", "", "peers, separated by commas")
	flags.StringVar(&o.worker, "worker", "", "program whose worker is measured; this one has one too")
	flags.StringVar(&o.mtus, "mtu", fmt.Sprintf("%d,%d", sandbox.LinkMTU, sandbox.LinkMTUEthernet), "sizes, separated by commas")
	flags.StringVar(&o.wanted, "rows", "", "words, separated by commas, one of which a row must have")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w, err := newWorld(o.tools, o.worker)
	if err != nil {
		return err
	}
	defer w.close()
	there := present(o)
	var rows []*row
	for size := range strings.SplitSeq(o.mtus, ",") {
		mtu, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("-mtu: %w", err)
		}
		got, err := measure(ctx, w, there, mtu, o)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	var names []string
	for _, p := range there {
		names = append(names, p.name)
	}
	print(os.Stdout, rows, names)
	if o.idle == 0 {
		return nil
	}
	return rest(ctx, w, o)
}

func present(o options) []peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p peer) bool {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), p.name) {
			return true
		}
		lacks := p.missing(o.tools)
		if lacks != "" {
			fmt.Printf("without %s: there is no %s here\n", p.name, lacks)
		}
		return lacks != ""
	})
}

// measure takes all figures at one MTU. Peers stand side by side, idle but for
// the one that is measured.
func measure(ctx context.Context, w *world, there []peer, mtu int, o options) ([]*row, error) {
	networks := map[string]*network{}
	defer func() {
		for _, n := range networks {
			n.stop()
		}
	}()
	for _, p := range there {
		n, err := w.up(ctx, p, mtu)
		if err != nil {
			return nil, err
		}
		networks[p.name] = n
	}
	var rows []*row
	for _, l := range loads(mtu, o) {
		if err := rounds(ctx, w, there, networks, o.rounds, l.args, l.rows...); err != nil {
			return nil, err
		}
		rows = append(rows, l.rows...)
	}
	return rows, nil
}

// workload is a command of the load and the rows that its figures go into.
type workload struct {
	args []string
	rows []*row
}

// loads are those that o.rows chooses.
func loads(mtu int, o options) []workload {
	var all []workload
	for _, streams := range []int{1, 8} {
		for _, way := range []string{"up", "down"} {
			all = append(all, workload{
				[]string{"stream", way, strconv.Itoa(streams), strconv.Itoa(o.millis)},
				[]*row{{name: fmt.Sprintf("mtu %d, %d× %s", mtu, streams, way), unit: "Gb/s", higher: true}},
			})
		}
	}
	for _, parallel := range []int{1, 16} {
		name := fmt.Sprintf("mtu %d, connect, %d at a time", mtu, parallel)
		all = append(all, workload{
			[]string{"connect", strconv.Itoa(o.connects), strconv.Itoa(parallel)},
			[]*row{{name: name, unit: "µs"}, {name: name, unit: "1/s", higher: true}},
		})
	}
	return slices.DeleteFunc(all, func(l workload) bool {
		return !slices.ContainsFunc(strings.Split(o.wanted, ","), func(word string) bool {
			return strings.Contains(l.rows[0].name, word)
		})
	})
}

// rounds runs one load for every peer in turn; figure i of it goes into rows[i].
// A peer that failed sits out the rest of them: slirp4netns wedges under eight
// streams of small packets.
func rounds(ctx context.Context, w *world, there []peer, networks map[string]*network, n int, args []string, rows ...*row) error {
	failed := map[string]bool{}
	for round := range n {
		for _, r := range rows {
			r.rounds = append(r.rounds, map[string]float64{})
		}
		for i := range there {
			name := there[(i+round)%len(there)].name // nobody is always first
			if failed[name] {
				continue
			}
			figures, err := w.load(ctx, networks[name], args...)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				fmt.Printf("%s: %v\n", name, err)
				failed[name] = true
				continue
			}
			for j, r := range rows {
				r.rounds[round][name] = figures[j]
			}
		}
	}
	return nil
}

// rest measures the router's process when it has little to do.
func rest(ctx context.Context, w *world, o options) error {
	n, err := w.up(ctx, peers[0], sandbox.LinkMTU)
	if err != nil {
		return err
	}
	defer n.stop()
	const still = 5 * time.Second
	before := cpuTime(n.pid)
	time.Sleep(still)
	fmt.Printf("router at rest: %d MB resident, %v of CPU in %v\n", resident(n.pid)>>20, cpuTime(n.pid)-before, still)
	p, err := w.start(n.netns, "/proc/self/exe", "load", n.target+":"+w.port, "idle", strconv.Itoa(o.idle))
	if err != nil {
		return err
	}
	defer p.stop()
	if _, err := p.line(); err != nil {
		return err
	}
	before = cpuTime(n.pid)
	time.Sleep(still)
	fmt.Printf("router with %d idle flows: %d MB resident, %v of CPU in %v\n", o.idle, resident(n.pid)>>20, cpuTime(n.pid)-before, still)
	return nil
}

func resident(pid int) int64 {
	return int64(procField(pid, "statm", 1)) * int64(os.Getpagesize())
}

// cpuTime reads utime and stime, in ticks of 10 ms.
func cpuTime(pid int) time.Duration {
	return time.Duration(procField(pid, "stat", 13)+procField(pid, "stat", 14)) * 10 * time.Millisecond
}

func procField(pid int, file string, index int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if index >= len(fields) {
		return 0
	}
	n, err := strconv.Atoi(fields[index])
	if err != nil {
		return 0
	}
	return n
}
