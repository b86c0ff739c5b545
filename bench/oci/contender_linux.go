package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/oci"
)

// contender pulls one image into the empty directory at, or does what a floor
// does there, and tells the most memory it took, KiB. begin, if any, does what
// is not measured and returns its undoing.
type contender struct {
	name  string
	begin func(ctx context.Context, at string) (end func() error, err error)
	run   func(ctx context.Context, at string) (rss int64, err error)
}

// figures of one pull.
type figures struct {
	took, synced time.Duration
	rss          int64 // KiB
}

// measure lets c pull onto a new disk.
func measure(ctx context.Context, base string, c contender) (f figures, err error) {
	d, err := newDisk(ctx, base)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, d.remove()) }()
	if c.begin != nil {
		end, err := c.begin(ctx, d.at)
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	began := time.Now()
	if f.rss, err = c.run(ctx, d.at); err != nil {
		return f, err
	}
	f.took = time.Since(began)
	err = d.sync()
	f.synced = time.Since(began)
	return f, err
}

// pullOnce is ours, in a process of its own.
func pullOnce(ctx context.Context, o options) (err error) {
	if o.cpu != "" {
		f, err := os.Create(o.cpu)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	store, err := oci.OpenStore(o.store, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	src, err := oci.ParseSource(o.pull)
	if err != nil {
		return err
	}
	_, err = store.Pull(ctx, src, oci.PullOptions{})
	return err
}

// contenders are ours, the peers that are installed, and the floors.
func contenders(self, ref string, floor *floors, only string) []contender {
	list := []contender{{name: ours, run: func(ctx context.Context, at string) (int64, error) {
		return program(ctx, self, "-pull", ref, "-store", filepath.Join(at, "store"))
	}}}
	for _, c := range append(peers(ref), floor.contenders()...) {
		if only == "" || slices.Contains(strings.Split(only, ","), c.name) {
			list = append(list, c)
		}
	}
	return list
}

func peers(ref string) (list []contender) {
	for tool, c := range map[string]contender{
		"umoci":      {name: "skopeo+umoci", run: func(ctx context.Context, at string) (int64, error) { return umoci(ctx, ref, at) }},
		"podman":     {name: "podman", run: func(ctx context.Context, at string) (int64, error) { return podman(ctx, ref, at) }},
		"containerd": containerd(ref),
	} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "oci: %s is not installed\n", tool)
			continue
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b contender) int { return strings.Compare(a.name, b.name) })
	return list
}

func umoci(ctx context.Context, ref, at string) (int64, error) {
	layout := filepath.Join(at, "layout")
	copied, err := program(ctx, "skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "docker://"+ref, "oci:"+layout+":x")
	if err != nil {
		return 0, err
	}
	unpacked, err := program(ctx, "umoci", "unpack", "--image", layout+":x", filepath.Join(at, "bundle"))
	return max(copied, unpacked), err
}

func podman(ctx context.Context, ref, at string) (int64, error) {
	return program(ctx, "podman", "--root", filepath.Join(at, "root"), "--runroot", filepath.Join(at, "run"), "--tmpdir", filepath.Join(at, "tmp"),
		"--storage-driver", "overlay", "pull", "--quiet", "--tls-verify=false", ref)
}

const containerdConfig = "version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n"

// containerd runs as a daemon with its data on the disk; ctr asks it.
func containerd(ref string) contender {
	socket := func(at string) string { return filepath.Join(at, "c.sock") }
	var daemon *exec.Cmd
	return contender{
		name: "containerd",
		begin: func(ctx context.Context, at string) (func() error, error) {
			file := filepath.Join(at, "containerd.toml")
			config := fmt.Sprintf(containerdConfig, filepath.Join(at, "root"), filepath.Join(at, "state"), socket(at))
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				return nil, err
			}
			daemon = exec.CommandContext(ctx, "containerd", "--config", file, "--log-level", "error")
			if err := daemon.Start(); err != nil {
				return nil, err
			}
			end := func() error {
				err := daemon.Process.Kill()
				_ = daemon.Wait() // killed
				return err
			}
			if err := answers("unix", socket(at)); err != nil {
				return nil, errors.Join(err, end())
			}
			return end, nil
		},
		run: func(ctx context.Context, at string) (int64, error) {
			asked, err := program(ctx, "ctr", "--address", socket(at), "images", "pull", "--plain-http", ref)
			return max(asked, peak(daemon.Process.Pid)), err
		},
	}
}

// peak is the most memory that a running process had, KiB.
func peak(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib
		}
	}
	return 0
}

// floors is the result of a pull, as a tree and as a tar file.
type floors struct {
	disk         *disk
	tar, tree    string
	bytes, files int64
}

func prepareFloors(ctx context.Context, base, ref string) (*floors, error) {
	d, err := newDisk(ctx, base)
	if err != nil {
		return nil, err
	}
	f := &floors{disk: d, tar: filepath.Join(d.at, "result.tar"), tree: filepath.Join(d.at, "bundle", "rootfs")}
	if _, err = umoci(ctx, ref, d.at); err == nil {
		err = quietly(ctx, "tar", "--create", "--file", f.tar, "--directory", f.tree, "--xattrs", ".")
	}
	if err == nil {
		err = f.count()
	}
	if err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return f, nil
}

func (f *floors) count() error {
	return filepath.WalkDir(f.tree, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			f.bytes += info.Size()
		}
		f.files++
		return err
	})
}

func (f *floors) remove() error { return f.disk.remove() }

func (f *floors) contenders() []contender {
	return []contender{
		{name: "tar -x", run: func(ctx context.Context, at string) (int64, error) {
			return program(ctx, "tar", "--extract", "--file", f.tar, "--directory", at, "--xattrs", "--same-owner")
		}},
		{name: "cp -a", run: func(ctx context.Context, at string) (int64, error) {
			return program(ctx, "cp", "-a", f.tree, filepath.Join(at, "copy"))
		}},
	}
}
