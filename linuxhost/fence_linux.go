package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/linuxhost/bpfd"
	"github.com/consentry/consentry/sandbox"
)

const (
	wallLSM     = "eBPF LSM"
	wallNetLine = "eBPF cgroup programs"
)

// fence is the host's hold on the eBPF programs above all its sandboxes. They
// are raised once, before the first sandbox: what a start does then is to write
// a few lines into maps.
type fence struct {
	mu     sync.Mutex
	tried  bool
	raised *bpf.Fence
	asked  *bpfd.Client // who raised it for a user; nil for root
	err    error        // why not even the cgroup programs stand
}

// get raises the fence, once.
func (f *fence) get(ctx context.Context, config Config) (*bpf.Fence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.tried {
		f.err = f.raise(context.WithoutCancel(ctx), config)
		f.tried = true
	}
	return f.raised, f.err
}

// raise loads the programs by our own rights, or has consentry-bpf do it.
func (f *fence) raise(ctx context.Context, config Config) error {
	tree, err := unifiedTree()
	if err != nil && delegatedOnly() {
		return fmt.Errorf("%w: eBPF programs: no cgroup of the cgroup2 tree was delegated to this user: %s", sandbox.ErrNotSupported, cgroupRemedy())
	}
	if err != nil {
		return err
	}
	above := stateCgroup(config.StateDir)
	if err := tree.mkdir(above); err != nil {
		return fmt.Errorf("cgroup of the eBPF programs: %w", err)
	}
	around := bpf.Config{Cgroup: tree.at(above), Name: filepath.Base(above), Self: config.Self}
	if !delegatedOnly() {
		f.raised, err = bpf.Raise(ctx, around)
		return err
	}
	asked, err := bpfd.Dial(config.fenceSocket(), around.Cgroup)
	if err != nil {
		return fmt.Errorf("%w: eBPF programs: the agent runs as a user, who loads none, and %w: %s",
			sandbox.ErrNotSupported, err, fencesRemedy(err, config.fenceSocket()))
	}
	if f.raised, err = bpf.RaiseBy(ctx, around, asked); err != nil {
		return errors.Join(fmt.Errorf("consentry-bpf answers, but %w; what it says of it: journalctl -u consentry-bpf", err), asked.Close())
	}
	f.asked = asked
	return nil
}

// fencesRemedy says what to do where consentry-bpf cannot be reached.
func fencesRemedy(err error, socket string) string {
	const anew = ", then start the agent anew"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "as root, install consentry-bpf and have systemd start it (systemctl enable --now consentry-bpf.socket), or run consentry-bpf -listen " + socket + anew
	case errors.Is(err, unix.ECONNREFUSED):
		return "its socket is left of one that has gone; as root: systemctl restart consentry-bpf.socket" + anew
	case errors.Is(err, fs.ErrPermission):
		return "this user may not ask it: SocketMode= and SocketGroup= of consentry-bpf.socket say who may"
	}
	return "as root: systemctl status consentry-bpf.socket"
}

// fenceSocket is where consentry-bpf answers.
func (c Config) fenceSocket() string {
	if c.FenceSocket != "" {
		return c.FenceSocket
	}
	return bpfd.SocketPath
}

// lower takes the programs away; nothing of the host runs any more.
func (f *fence) lower(stateDir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	raised, asked := f.raised, f.asked
	f.tried, f.raised, f.asked, f.err = false, nil, nil, nil
	var errs error
	if raised != nil {
		errs = raised.Maps.Close()
	}
	if asked != nil {
		return errors.Join(errs, asked.Close()) // it lowers what nobody holds
	}
	return errors.Join(errs, lowerFence(stateDir))
}

func lowerFence(stateDir string) error {
	if delegatedOnly() {
		return nil // consentry-bpf does it
	}
	return bpf.Lower(bpf.PinsOf(filepath.Base(stateCgroup(stateDir))))
}

// call is what launchers are told of a fence.
func (h *Host) fenceCall(raised *bpf.Fence) fenceCall {
	if raised == nil {
		return fenceCall{}
	}
	call := fenceCall{Judged: true, Pins: raised.Pins}
	if raised.Pins == "" {
		call.Socket = h.config.fenceSocket()
	}
	return call
}

// unifiedTree is the cgroup2 tree, with controllers or without: programs are
// scoped by it.
func unifiedTree() (hierarchy, error) {
	trees, err := hierarchies()
	if err != nil {
		return hierarchy{}, err
	}
	for _, h := range trees {
		if h.v2 {
			return h, nil
		}
	}
	return hierarchy{}, fmt.Errorf("%w: eBPF programs: no cgroup2 tree: mount -t cgroup2 none /sys/fs/cgroup/unified", sandbox.ErrNotSupported)
}

// verdicts are the rules of one sandbox, as its launcher holds them.
type verdicts struct {
	call    fenceCall
	above   string // directory of the cgroup that is fenced
	pinned  uint64 // see bpf.Sandbox
	rules   *bpf.Rules
	cgroup  uint64
	sandbox bpf.Sandbox
}

// openVerdicts lets the sandbox of g be built; from here until seal only our
// own code runs in it. maps are those of the rules.
func openVerdicts(call fenceCall, maps []*os.File, g *cgroup) (*verdicts, error) {
	rules, err := bpf.RulesOf(maps)
	if err != nil {
		return nil, err
	}
	dir := ""
	for _, h := range g.trees {
		if h.v2 {
			dir = h.at(g.path)
		}
	}
	v := &verdicts{call: call, above: filepath.Dir(dir), rules: rules}
	if v.cgroup, err = bpf.CgroupID(dir); err == nil {
		err = rules.Build(v.cgroup)
	}
	if err != nil {
		return nil, errors.Join(err, rules.Close())
	}
	return v, nil
}

// pinTo has only files run that did not change since then; a zero time allows all.
func (v *verdicts) pinTo(since time.Time) {
	if !since.IsZero() {
		v.pinned = uint64(max(since.UnixNano(), 1)) //nolint:gosec // not negative
	}
}

// recognize learns what tells the network of the sandbox of init from others.
func (v *verdicts) recognize(pid int) error {
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	v.sandbox.NetNS = uint32(st.Ino) //nolint:gosec // the kernel's numbers of namespaces have 32 bits
	return inNetworkOf(pid, func() (err error) {
		v.sandbox.Cookie, err = bpf.NetCookie()
		return err
	})
}

// seal has the programs judge from here on. pid is init, with all its mounts made;
// folders are those that can be taken back.
func (v *verdicts) seal(pid int, folders []uint64) error {
	s := v.sandbox
	s.Pinned = v.pinned
	if v.rules.LSM() { // the others know no files
		var err error
		if s.Mounts, err = bpf.MountsOf(pid); err == nil {
			err = v.pin(pid, s.Mounts)
		}
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		for i := range s.Mounts {
			if slices.Contains(folders, s.Mounts[i].ID) {
				s.Mounts[i].Rights |= bpf.Noted
			}
		}
	}
	v.sandbox = s
	return v.rules.Seal(v.cgroup, s)
}

// pin leaves programs to the image's own mount, where they are pinned to it.
func (v *verdicts) pin(pid int, mounts []bpf.Mount) error {
	if v.pinned == 0 {
		return nil
	}
	root, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer root.Close()
	image, err := bpf.MountID(root)
	if err != nil {
		return err
	}
	for i, m := range mounts {
		if m.ID != image.Lasting {
			mounts[i].Rights &^= bpf.Exec
		}
	}
	return nil
}

func (v *verdicts) close() error {
	return errors.Join(v.rules.Forget(v.cgroup, v.sandbox), v.rules.Close())
}

// attached says which of the programs no longer are, as we see it, or as who
// raised them does. v is nil where none stands.
func (v *verdicts) attached() error {
	if v == nil {
		return nil
	}
	have, want, err := v.count()
	if err != nil {
		return fmt.Errorf("what is attached cannot be read back: %w", err)
	}
	if have != want {
		return fmt.Errorf("%d of %d programs are attached", have, want)
	}
	return nil
}

func (v *verdicts) count() (have, want int, err error) {
	if v.call.Socket == "" {
		have, want = bpf.Attached(v.call.Pins, v.rules.LSM())
		return have, want, nil
	}
	asked, err := bpfd.Dial(v.call.Socket, v.above)
	if err != nil {
		return 0, 0, err
	}
	have, want, err = asked.Attached(context.Background())
	return have, want, errors.Join(err, asked.Close())
}

// walls are the two lines of posture. v is nil where no program stands.
func (v *verdicts) walls(lsm string, detached error) []sandbox.Wall {
	line := sandbox.Wall{Name: wallNetLine, Detail: "they do not load here; the network namespace, seccomp and the router decide"}
	first := sandbox.Wall{Name: wallLSM, Required: true, Detail: lsm, Waiver: sandbox.WaiveLSM}
	if v == nil {
		return []sandbox.Wall{first, line}
	}
	err := v.rules.Standing(v.cgroup, v.sandbox)
	if err == nil {
		err = detached
	}
	line.Required, line.Stands = true, err == nil
	line.Detail = "sockets of the app's own network, harmless devices, no sysctl: all else is denied"
	if v.rules.LSM() {
		first.Stands = err == nil
		first.Detail = fmt.Sprintf("its programs judge every call, rights for %d mounts; a denial was proven", len(v.sandbox.Mounts))
		if v.pinned != 0 {
			first.Detail += "; only programs of the image are run"
		}
	}
	if v.call.Socket != "" {
		line.Detail += raisedFor
	}
	if v.rules.LSM() && v.call.Socket != "" {
		first.Detail += raisedFor
	}
	if err != nil {
		line.Detail = err.Error()
		if v.rules.LSM() {
			first.Detail = err.Error()
		}
	}
	return []sandbox.Wall{first, line}
}

// raisedFor ends what is said of a wall that somebody else holds up.
const raisedFor = "; by consentry-bpf"

// surveyed are the same two lines before there is a sandbox.
func surveyed(raised *bpf.Fence, err error) []sandbox.Wall {
	line := sandbox.Wall{Name: wallNetLine, Required: raised != nil, Stands: raised != nil, Detail: "a denial was proven"}
	first := sandbox.Wall{Name: wallLSM, Required: true, Waiver: sandbox.WaiveLSM, Stands: raised != nil && raised.LSM == nil, Detail: "a denial was proven"}
	if raised == nil {
		line.Detail = err.Error()
	}
	if raised != nil && raised.Pins == "" {
		line.Detail += raisedFor
		first.Detail += raisedFor
	}
	if !first.Stands {
		first.Detail = lsmText(raised, err)
	}
	return []sandbox.Wall{first, line}
}

// lsmText is why LSM programs do not stand, "" when they do.
func lsmText(f *bpf.Fence, err error) string {
	if f != nil {
		err = f.LSM
	}
	if err == nil {
		return ""
	}
	text := strings.TrimPrefix(err.Error(), sandbox.ErrNotSupported.Error()+": ")
	return strings.TrimPrefix(text, wallLSM+": ")
}

// Close ends what waits and takes the eBPF programs away. No app may run.
func (h *Host) Close() error {
	h.pool.Close()
	h.ending.Wait()
	return h.fence.lower(h.config.StateDir)
}
