package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ProofName is the hidden subcommand that tries what must be denied.
const ProofName = "sandbox-proof"

// What ProofMain says.
const (
	proofRan     = "ran"
	proofSocket  = "socket"
	proofDevice  = "device"
	proofAllowed = proofRan + " " + proofSocket + " " + proofDevice
)

// ProofMain tries harmless calls and says which of them went through.
func ProofMain(out io.Writer) error {
	said := []string{proofRan}
	if conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		conn.Close()
		said = append(said, proofSocket)
	}
	if f, err := os.Open("/dev/zero"); err == nil {
		f.Close()
		said = append(said, proofDevice)
	}
	_, err := fmt.Fprintln(out, strings.Join(said, " "))
	return err
}

// prover starts a child in a cgroup of its own below the fence, once with a
// policy and once without.
type prover struct {
	self     string
	dir      string
	id       uint64
	cookie   uint64
	policies *ebpf.Map
}

// proofCgroup holds the child; a run's cgroup never has a hyphen in its name.
const proofCgroup = "fence-proof"

func newProver(cfg Config, policies *ebpf.Map) (*prover, error) {
	p := &prover{self: cfg.Self, dir: filepath.Join(cfg.Cgroup, proofCgroup), policies: policies}
	if err := os.Mkdir(p.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("cgroup of the proof: %w", err)
	}
	var err error
	if p.id, err = CgroupID(p.dir); err != nil {
		return nil, errors.Join(err, os.Remove(p.dir))
	}
	if p.cookie, err = NetCookie(); err != nil {
		return nil, errors.Join(err, os.Remove(p.dir))
	}
	return p, nil
}

func (p *prover) close() {
	//nolint:errcheck // the next cleanup removes it
	os.Remove(p.dir)
}

// CgroupID is the number by which the kernel knows a cgroup.
func CgroupID(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", dir, err)
	}
	return st.Ino, nil
}

// soNetnsCookie is SO_NETNS_COOKIE.
const soNetnsCookie = 71

// NetCookie is the cookie of the calling thread's network namespace.
func NetCookie() (uint64, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("cookie of the network namespace: %w", err)
	}
	defer unix.Close(s)
	cookie, err := unix.GetsockoptUint64(s, unix.SOL_SOCKET, soNetnsCookie)
	if err != nil {
		return 0, fmt.Errorf("cookie of the network namespace: %w", err)
	}
	return cookie, nil
}

// cgroup proves the second line: what a policy allows is denied without it.
func (p *prover) cgroup(ctx context.Context) error {
	if err := p.policies.Put(p.id, policy{Mode: modeSealed, NetNS: 1, Cookie: p.cookie}); err != nil {
		return err
	}
	with, err := p.allowed(ctx)
	if err := errors.Join(err, p.policies.Delete(p.id)); err != nil {
		return fmt.Errorf("prove a denial: %w", err)
	}
	without, err := p.child(ctx)
	if err != nil {
		return fmt.Errorf("prove a denial: %w", err)
	}
	if with != proofAllowed || without != proofRan {
		return fmt.Errorf("the programs are attached but do not judge: %q with a policy, %q without", with, without)
	}
	return nil
}

// lastWords is how long the kernel may take to let go of the programs of a fence
// that was lowered: it waits for all tasks to have left each, which takes
// milliseconds, and seconds in a machine that is emulated.
const lastWords = 15 * time.Second

// allowed runs the child until everything is allowed that should be.
func (p *prover) allowed(ctx context.Context) (said string, err error) {
	for start := time.Now(); time.Since(start) < lastWords; time.Sleep(lastWords / 100) {
		if said, err = p.child(ctx); said == proofAllowed {
			break
		}
	}
	return said, err
}

// lsm proves the first line: without a policy not even a program starts.
func (p *prover) lsm(ctx context.Context) error {
	if err := p.policies.Put(p.id, policy{Mode: modeBuilding}); err != nil {
		return err
	}
	with, err := p.child(ctx)
	if err := errors.Join(err, p.policies.Delete(p.id)); err != nil {
		return fmt.Errorf("prove a denial: %w", err)
	}
	without, err := p.child(ctx)
	if with != proofAllowed || without != "" || err == nil {
		return fmt.Errorf("the programs are attached but do not judge: %q with a policy, %q without", with, without)
	}
	return nil
}

// child runs ProofMain inside the cgroup and returns what it said.
func (p *prover) child(ctx context.Context) (string, error) {
	group, err := os.Open(p.dir)
	if err != nil {
		return "", err
	}
	defer group.Close()
	cmd := exec.CommandContext(ctx, p.self, ProofName)
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
