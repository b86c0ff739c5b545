package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// peerThread runs programs from a mount namespace with cgroup2 alone.
type peerThread struct {
	work chan func()
	over chan struct{}
}

func newPeerThread() (*peerThread, error) {
	t := &peerThread{work: make(chan func()), over: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(t.over)
		runtime.LockOSThread() // the thread is thrown away with its namespace
		ready <- cgroup2Alone()
		for f := range t.work {
			f()
		}
	}()
	return t, <-ready
}

func cgroup2Alone() error {
	const at = "/sys/fs/cgroup"
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("cgroup2", at, "cgroup2", 0, ""),
	)
}

func (t *peerThread) end() {
	close(t.work)
	<-t.over
}

func (t *peerThread) do(f func() error) error {
	done := make(chan error)
	t.work <- func() { done <- f() }
	return <-done
}

func (t *peerThread) run(args ...string) error {
	return t.do(func() error {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
		return err
	})
}

// peersOf are those of bubblewrap, crun and runc that are installed.
func peersOf(dir, root string, thread *peerThread) (list []contender, err error) {
	bundle := filepath.Join(dir, "bundle")
	if err := writeBundle(bundle, root); err != nil {
		return nil, err
	}
	id := func(round int) string { return fmt.Sprintf("bench%d-%d", os.Getpid(), round) }
	all := []contender{
		{name: "bwrap", run: func(int) error {
			return thread.run("bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--ro-bind", root, "/",
				"--proc", "/proc", "--dev", "/dev", "--cap-drop", "ALL", "--die-with-parent", "/bin/true")
		}},
		{name: "crun", run: func(round int) error {
			return thread.run("crun", "--root", filepath.Join(dir, "crun"), "--cgroup-manager=disabled", "run", "--bundle", bundle, id(round))
		}},
		{name: "runc", run: func(round int) error {
			return thread.run("runc", "--root", filepath.Join(dir, "runc"), "run", "--bundle", bundle, id(round))
		}},
	}
	for _, peer := range all {
		if _, err := exec.LookPath(peer.name); err != nil {
			fmt.Fprintf(os.Stderr, "launch: %s is not installed\n", peer.name)
			continue
		}
		list = append(list, peer)
	}
	return list, nil
}

// writeBundle takes runc's own default configuration: its namespaces, masks,
// seccomp left out, and no terminal.
func writeBundle(bundle, root string) error {
	if err := os.Mkdir(bundle, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), fmt.Appendf(nil, bundleConfig, root), 0o600)
}

const bundleConfig = `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"env":["PATH=/bin"],"cwd":"/","noNewPrivileges":true,
"capabilities":{"bounding":[],"effective":[],"permitted":[]}},
"root":{"path":"%s","readonly":true},"hostname":"bench",
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620"]},
{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"user"}],
"uidMappings":[{"containerID":0,"hostID":536870912,"size":65536}],"gidMappings":[{"containerID":0,"hostID":536870912,"size":65536}],
"maskedPaths":["/proc/kcore","/proc/keys","/proc/timer_list","/proc/sched_debug","/sys/firmware"],
"readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}}`
