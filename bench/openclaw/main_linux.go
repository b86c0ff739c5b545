package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/bench/rounds"
)

type options struct {
	rounds              int
	dir, image, program string
	only                string
	inside              bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each starts")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where the files of the contenders are put: 4 GB")
	flag.StringVar(&o.image, "image", ".cache/openclaw/image", "OCI layout of OpenClaw")
	flag.StringVar(&o.program, "program", "bin/consentry", "ours")
	flag.StringVar(&o.only, "only", "", "contenders, separated by commas, besides ours")
	flag.BoolVar(&o.inside, "inside", false, "run in the namespaces that this program has: what it starts itself with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "openclaw:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if !o.inside {
		return again(ctx)
	}
	err := errors.Join(quietly(ctx, "ip", "link", "set", "lo", "up"), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if err != nil {
		return err
	}
	w, err := newWork(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(w.compare(ctx, o.rounds), w.close())
}

// again starts this program in namespaces of its own, as a signal would end it.
func again(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"-inside"}, os.Args[1:]...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	return cmd.Run()
}

// contender starts OpenClaw, and ends it so that nothing of it is left.
type contender struct {
	name  string
	reset func(context.Context) error // puts the image's files back; not measured
	start func(context.Context) error // returns when it has been started
	end   func(context.Context) error
}

func (w *work) compare(ctx context.Context, times int) error {
	took := rounds.Rounds{}
	for round := range times + 1 {
		for _, c := range w.list {
			t, err := measure(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 { // the first fills caches
				took.Add(c.name, t.Seconds())
			}
		}
	}
	return show(os.Stdout, w.list, took)
}

// measure lets c start once.
func measure(ctx context.Context, c contender) (took time.Duration, err error) {
	if c.reset != nil {
		if err := c.reset(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err = c.start(ctx); err == nil {
		err = untilHealthy(ctx)
		took = time.Since(began)
	}
	err = errors.Join(err, c.end(context.WithoutCancel(ctx)))
	return took, errors.Join(err, untilFree())
}

func show(out io.Writer, list []contender, took rounds.Rounds) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmedian, s\tleast, s\tours / this\t")
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t\n", c.name, took.Median(c.name), took.Least(c.name), took.Ratio(ours, c.name))
	}
	return w.Flush()
}

// work is what the contenders share.
type work struct {
	dir    string
	list   []contender
	ends   []func() error // last first
	mounts string         // file of podman's mount namespace
}

func newWork(ctx context.Context, o options) (_ *work, err error) {
	w := &work{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp(o.dir, "claw"); err != nil { // short: the path of a unix socket is bounded
		return nil, err
	}
	w.ends = append(w.ends, func() error { return os.RemoveAll(w.dir) })
	if err := os.Chmod(w.dir, 0o755); err != nil { // OpenClaw's user goes through it
		return nil, err
	}
	layout, err := filepath.Abs(o.image)
	if err != nil {
		return nil, err
	}
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, err
	}
	for name, make := range w.makers(program, layout) {
		if name != ours && o.only != "" && !slices.Contains(strings.Split(o.only, ","), name) {
			continue
		}
		c, err := make(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.name = name
		w.list = append(w.list, c)
	}
	return w, nil
}

func (w *work) close() error {
	var all error
	for _, end := range slices.Backward(w.ends) {
		all = errors.Join(all, end())
	}
	return all
}

// quietly runs a program that says something only when it fails.
func quietly(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
