package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

type options struct {
	dir    string
	rounds int
	only   string
	pull   string
	store  string
	cpu    string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where the disk images are made; needs about three times an image's size")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each contender pulls")
	flag.StringVar(&o.only, "only", "", "contenders, separated by commas, besides ours")
	flag.StringVar(&o.pull, "pull", "", "pull this `reference` into -store and end: what the benchmark starts as ours")
	flag.StringVar(&o.store, "store", "", "with -pull")
	flag.StringVar(&o.cpu, "cpuprofile", "", "with -pull: write a profile to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, o, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "oci:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, images []string) error {
	if o.pull != "" {
		return pullOnce(ctx, o)
	}
	if len(images) == 0 {
		return errors.New("no NAME=LAYOUT to pull")
	}
	work, err := os.MkdirTemp(o.dir, "bench-oci-")
	if err != nil {
		return err
	}
	return errors.Join(compareAll(ctx, o, work, images), os.RemoveAll(work))
}

func compareAll(ctx context.Context, o options, work string, images []string) (err error) {
	reg, err := startRegistry(ctx, work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.stop()) }()
	for _, image := range images {
		name, layout, ok := strings.Cut(image, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=LAYOUT", image)
		}
		if err := compare(ctx, o, work, reg, name, layout); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// compare pulls one image with every contender, rounds times, and prints.
func compare(ctx context.Context, o options, work string, reg *registry, name, layout string) (err error) {
	ref, size, err := reg.push(ctx, name, layout)
	if err != nil {
		return err
	}
	floor, err := prepareFloors(ctx, filepath.Join(work, "floors-"+name), ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.remove()) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	list := contenders(self, ref, floor, o.only)
	t := newTable(list)
	for range o.rounds {
		for _, c := range list {
			f, err := measure(ctx, filepath.Join(work, "disk"), c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			t.add(c.name, f)
		}
	}
	fmt.Printf("%s: %d MB compressed, %d MB and %d files unpacked; %d rounds\n", name, size>>20, floor.bytes>>20, floor.files, o.rounds)
	return t.print(os.Stdout)
}
