package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/sandbox"
)

// ours is the contender that is compared with the others.
const ours = "consentry"

const (
	token = "OPENCLAW_GATEWAY_TOKEN=a-secret-of-the-benchmark"
	name  = "bench" // of a run
)

type maker = func(context.Context) (contender, error)

// makers make the contenders, in the order of their turns.
func (w *work) makers(program, layout string) iter.Seq2[string, maker] {
	return func(yield func(string, maker) bool) {
		_ = yield(ours, func(ctx context.Context) (contender, error) { return w.consentry(ctx, program, layout) }) &&
			yield("chroot", func(ctx context.Context) (contender, error) { return w.chroot(ctx, layout) }) &&
			yield("podman, host", func(ctx context.Context) (contender, error) { return w.podman(ctx, layout, "host") }) &&
			yield("podman, bridge", func(ctx context.Context) (contender, error) { return w.podman(ctx, layout, "bridge") })
	}
}

// consentry is ours, with an agent that runs and has the image.
func (w *work) consentry(ctx context.Context, program, layout string) (contender, error) {
	cli := func(ctx context.Context, args ...string) error {
		return quietly(ctx, append([]string{program}, args...)...)
	}
	if err := os.Setenv("CONSENTRY_HOME", filepath.Join(w.dir, "home")); err != nil {
		return contender{}, err
	}
	agent := exec.Command(program, "agent", "--foreground")
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt ends us first, then it
	if err := agent.Start(); err != nil {
		return contender{}, err
	}
	w.ends = append(w.ends, func() error {
		err := agent.Process.Signal(unix.SIGTERM)
		_ = agent.Wait() // it was told to end
		return err
	})
	if err := listens("unix", filepath.Join(w.dir, "home", "run", "agent.sock")); err != nil {
		return contender{}, err
	}
	return contender{
		start: func(ctx context.Context) error {
			return cli(ctx, "run", "-d", "--quiet", "--no-input", "--waive", sandbox.WaiveLSM, "--name", name, "-p", port, "-e", token, layout)
		},
		end: func(ctx context.Context) error {
			_ = cli(ctx, "kill", name) // it may never have run; asked to end, it would take seconds
			return cli(ctx, "rm", "-f", "-v", name)
		},
	}, cli(ctx, "pull", "--quiet", layout)
}

func listens(network, addr string) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(interval) {
		var c net.Conn
		if c, err = net.Dial(network, addr); err == nil {
			return c.Close()
		}
	}
	return err
}

// bare is the image's tree, and its process as the config says.
type bare struct {
	root, saved string
	process     sandbox.Process
	cmd         *exec.Cmd
}

// chroot runs the same process in the same tree, with nothing between it and
// the kernel.
func (w *work) chroot(ctx context.Context, layout string) (contender, error) {
	b := &bare{root: filepath.Join(w.dir, "root"), saved: filepath.Join(w.dir, "saved")}
	if err := b.unpack(ctx, filepath.Join(w.dir, "plain"), layout); err != nil {
		return contender{}, err
	}
	for _, m := range []struct {
		from, to, kind string
		flags          uintptr
	}{
		{"proc", "proc", "proc", 0}, {"/dev", "dev", "", unix.MS_BIND | unix.MS_REC},
	} {
		if err := unix.Mount(m.from, filepath.Join(b.root, m.to), m.kind, m.flags, ""); err != nil {
			return contender{}, fmt.Errorf("mount %s: %w", m.to, err)
		}
		w.ends = append(w.ends, func() error { return unix.Unmount(filepath.Join(b.root, m.to), unix.MNT_DETACH) })
	}
	return contender{reset: b.reset, start: b.start, end: b.end}, nil
}

// written are the directories that OpenClaw writes to.
func (b *bare) written() []string { return []string{"home", "tmp", "var/tmp"} }

// unpack makes one plain tree of the layers.
func (b *bare) unpack(ctx context.Context, dir, layout string) (err error) {
	store, err := oci.OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	src, err := oci.ParseSource(layout)
	if err != nil {
		return err
	}
	img, err := store.Pull(ctx, src, oci.PullOptions{})
	if err != nil {
		return err
	}
	if b.process, err = img.Process(oci.Overrides{Env: []string{token}}); err != nil {
		return err
	}
	if err := os.Mkdir(b.root, 0o755); err != nil {
		return err
	}
	for _, layer := range img.Layers { // this image removes nothing of a lower layer
		if err := quietly(ctx, "cp", "-aT", layer, b.root); err != nil {
			return err
		}
	}
	for _, dir := range b.written() {
		if err := quietly(ctx, "sh", "-c", `mkdir -p "$2" && cp -aT "$1" "$2"`, "sh", filepath.Join(b.root, dir), filepath.Join(b.saved, dir)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bare) reset(ctx context.Context) error {
	for _, dir := range b.written() {
		at := filepath.Join(b.root, dir)
		if err := errors.Join(os.RemoveAll(at), quietly(ctx, "cp", "-aT", filepath.Join(b.saved, dir), at)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bare) start(context.Context) error {
	p := b.process
	b.cmd = exec.Command("/usr/local/bin/"+p.Args[0], p.Args[1:]...)
	b.cmd.Dir, b.cmd.Env = p.Dir, p.Env
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: b.root, Setsid: true,
		Credential: &syscall.Credential{Uid: p.User.UID, Gid: p.User.GID, Groups: p.User.Groups},
	}
	return b.cmd.Start()
}

// end kills whatever has the tree as its root: OpenClaw's helpers are in sessions
// of their own, and nothing ends them with it.
func (b *bare) end(context.Context) error {
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	for _, link := range roots {
		if root, err := os.Readlink(link); err != nil || root != b.root {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err == nil {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
	}
	if b.cmd.Process != nil {
		_ = b.cmd.Wait() // killed
	}
	return err
}

// podmanGround is a mount namespace where crun runs: with cgroup2 alone. It lives
// as long as its input is open.
const podmanGround = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo up && exec cat"

// podman runs the same image, of a store that has it, in a network.
func (w *work) podman(ctx context.Context, layout, network string) (contender, error) {
	dir := filepath.Join(w.dir, "podman")
	at, err := w.ground()
	if err != nil {
		return contender{}, err
	}
	podman := func(args ...string) []string {
		return append([]string{
			"nsenter", "--mount=" + at, "podman", "--root", filepath.Join(dir, "store"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
			"--storage-driver", "overlay", "--runtime", "crun", "--cgroup-manager", "cgroupfs",
		}, args...)
	}
	short := filepath.Join(w.dir, "image") // podman makes a name of it, which has no upper case
	if err := os.Symlink(layout, short); err != nil && !errors.Is(err, fs.ErrExist) {
		return contender{}, err
	}
	id, err := said(ctx, podman("pull", "--quiet", "oci:"+short)...)
	if err != nil {
		return contender{}, err
	}
	line := podman("run", "-d", "--name", name, "--cgroups=disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", network, "-e", token)
	if network != "host" {
		line = append(line, "-p", port+":"+port)
	}
	line = append(line, id)
	return contender{
		start: func(ctx context.Context) error { return quietly(ctx, line...) },
		end:   func(ctx context.Context) error { return quietly(ctx, podman("rm", "-f", "-t", "0", "-v", name)...) },
	}, nil
}

// ground makes the mount namespace once, and returns its file.
func (w *work) ground() (string, error) {
	if w.mounts != "" {
		return w.mounts, nil
	}
	hold := exec.Command("sh", "-c", podmanGround)
	hold.Stderr = os.Stderr
	hold.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Setpgid: true}
	in, inErr := hold.StdinPipe()
	out, outErr := hold.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return "", err
	}
	if err := hold.Start(); err != nil {
		return "", err
	}
	w.ends = append(w.ends, func() error { return errors.Join(in.Close(), hold.Wait()) })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		return "", fmt.Errorf("a mount namespace with cgroup2 alone: %w", err)
	}
	w.mounts = fmt.Sprintf("/proc/%d/ns/mnt", hold.Process.Pid)
	return w.mounts, nil
}

// said is what a program prints, without space around it.
func said(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(string(out)), err
}
