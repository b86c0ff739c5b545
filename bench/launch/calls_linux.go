package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// callsName has the program measure what system calls cost where it runs: in a
// sandbox, of which it is the app then, or bare.
const callsName = "calls"

// A figure is the least of several batches: what is above it is other programs'.
const (
	callBatches = 20
	callBatch   = 5000
)

// A call is measured in a directory that holds etc/read, of the image, and can
// write to tmp.
//
// Bare is outside every wall, once on the folder itself and once on an overlay
// like an app's: what that costs is the file system's, not the walls'.
type call struct {
	name string
	most float64 // of its cost bare, by the issue; 0: not said by itself
	do   func(c *callFiles) error
}

type callFiles struct {
	read, write int
	buffer      [1]byte
}

var calls = []call{
	{"getpid", 1.3, func(*callFiles) error {
		unix.RawSyscallNoError(unix.SYS_GETPID, 0, 0, 0)
		return nil
	}},
	{"read", 1.1, func(c *callFiles) error {
		_, err := unix.Pread(c.read, c.buffer[:], 0)
		return err
	}},
	{"write", 1.1, func(c *callFiles) error {
		_, err := unix.Pwrite(c.write, c.buffer[:], 0)
		return err
	}},
	{"stat", 1.1, func(c *callFiles) error {
		var st unix.Stat_t
		return unix.Stat("etc/read", &st)
	}},
	{"open+close", 0, func(c *callFiles) error {
		fd, err := unix.Open("etc/read", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}},
}

// allCalls is how much all of them together may cost.
const allCalls = 1.3

// callsMain prints the nanoseconds of each call.
func callsMain(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	c := &callFiles{}
	var err error
	if c.read, err = unix.Open("etc/read", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("etc/read: %w", err)
	}
	if c.write, err = unix.Open("tmp/write", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600); err != nil {
		return fmt.Errorf("tmp/write: %w", err)
	}
	for _, one := range calls {
		least := time.Duration(1<<63 - 1)
		for range callBatches {
			began := time.Now()
			for range callBatch {
				if err := one.do(c); err != nil {
					return fmt.Errorf("%s: %w", one.name, err)
				}
			}
			least = min(least, time.Since(began))
		}
		fmt.Printf("%s %d\n", one.name, least.Nanoseconds()/callBatch)
	}
	return nil
}

func parseCalls(text string) (map[string]float64, error) {
	took := map[string]float64{}
	for line := range strings.Lines(text) {
		var name string
		var ns float64
		if _, err := fmt.Sscan(line, &name, &ns); err != nil {
			return nil, fmt.Errorf("figure %q: %w", line, err)
		}
		took[name] = ns
	}
	if len(took) != len(calls) {
		return nil, fmt.Errorf("%d figures for %d calls: %s", len(took), len(calls), text)
	}
	return took, nil
}

// compareCalls prints what each call costs inside, as a part of what it costs
// bare: medians of rounds, in each of which both take a turn.
func compareCalls(rounds int, launcher string) (err error) {
	root, err := os.MkdirTemp("", "calls")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := furnishCalls(root); err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "state")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	inside, err := newOurs(state, root, launcher, false)
	if err != nil {
		return err
	}
	defer inside.end()
	overlay, err := newPeerThread()
	if err != nil {
		return err
	}
	defer overlay.end()
	if err := overlay.do(func() error { return overlayHere(state, root) }); err != nil {
		return err
	}
	folder, layered := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		bare, err := callsBare(root)
		if err != nil {
			return err
		}
		var onOverlay map[string]float64
		err = overlay.do(func() (err error) {
			onOverlay, err = callsBare(filepath.Join(state, "merged"))
			return err
		})
		if err != nil {
			return err
		}
		sandboxed, err := inside.calls()
		if err != nil {
			return err
		}
		addRatios(folder, sandboxed, bare)
		addRatios(layered, sandboxed, onOverlay)
	}
	fmt.Printf("%-12s %16s %16s %8s\n", "system call", "inside / folder", "inside / overlay", "target")
	for _, one := range append(slices.Clone(calls), call{name: "all", most: allCalls}) {
		target := ""
		if one.most > 0 {
			target = fmt.Sprint(one.most)
		}
		fmt.Printf("%-12s %16.2f %16.2f %8s\n", one.name, median(folder[one.name]), median(layered[one.name]), target)
	}
	return nil
}

func addRatios(ratios map[string][]float64, inside, bare map[string]float64) {
	var all [2]float64
	for name, ns := range bare {
		ratios[name] = append(ratios[name], inside[name]/ns)
		all[0], all[1] = all[0]+inside[name], all[1]+ns
	}
	ratios["all"] = append(ratios["all"], all[0]/all[1])
}

// overlayHere mounts an overlay of root at merged in dir, with its upper layer in
// memory as an app's is.
func overlayHere(dir, root string) error {
	upper, merged := filepath.Join(dir, "memory"), filepath.Join(dir, "merged")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(merged, 0o755), unix.Mount("upper", upper, "tmpfs", 0, "")); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(upper+"/upper", 0o755), os.Mkdir(upper+"/work", 0o755)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%[2]s/upper,workdir=%[2]s/work", root, upper)
	return unix.Mount("overlay", merged, "overlay", 0, options)
}

// furnishCalls makes an image of this program.
func furnishCalls(root string) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	for _, dir := range []string{"bin", "etc", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		os.Chmod(root, 0o755),
		os.WriteFile(filepath.Join(root, "bin/calls"), self, 0o755),
		os.WriteFile(filepath.Join(root, "etc/read"), []byte("text"), 0o644),
	)
}

func callsBare(root string) (map[string]float64, error) {
	out, err := exec.Command(filepath.Join(root, "bin/calls"), callsName, root+"/").Output()
	if err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	return parseCalls(string(out))
}

func (o *ours) calls() (map[string]float64, error) {
	if err := o.wait(); err != nil {
		return nil, err
	}
	out, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	spec := o.spec("/bin/calls", callsName, "/")
	spec.Process.Stdio = [3]*os.File{nil, write, nil}
	app, err := o.host.Start(context.Background(), spec, nil)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	_, copyErr := io.Copy(&text, out)
	exit, err := app.Wait(context.Background())
	if err := errors.Join(err, copyErr); err != nil {
		return nil, err
	}
	if exit.Code != 0 {
		return nil, fmt.Errorf("inside: exit %+v", exit)
	}
	return parseCalls(text.String())
}
