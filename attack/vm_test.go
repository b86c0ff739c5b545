//go:build linux

package attack_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/internal/longtest"
	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/qemu"
)

// inside is a host whose apps are further processes of one that runs already:
// a machine boots once for many attacks.
type inside struct {
	sandbox.Host
	app sandbox.Instance
}

type execed struct{ sandbox.Running }

func (e execed) Stop(ctx context.Context) error { return e.Signal(ctx, sandbox.SIGKILL) }

func (execed) Posture(context.Context) (sandbox.Posture, error) {
	return sandbox.Posture{}, sandbox.ErrNotSupported
}

func (i inside) Start(ctx context.Context, spec sandbox.Spec, _ sandbox.Broker) (sandbox.Instance, error) {
	running, err := i.app.(sandbox.Execer).Exec(ctx, spec.Process)
	return execed{running}, err
}

// ownMachine says whether an attack ends the app it is made from, or needs
// limits or folders of its own.
func ownMachine(p attack.Probe) bool {
	return p.Own || p.Limits != (sandbox.Limits{}) || strings.HasPrefix(p.Name, "kill-")
}

// TestMicroVMUnderAttack tries the attacks inside a microVM, where every wall
// stands whatever the kernel of this machine can.
func TestMicroVMUnderAttack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the driver maps files for guests")
	}
	host := vmHost(t)
	root := image(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	program, err := os.ReadFile(busybox)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "bin/busybox"), program, 0o755))
	o := newOutside(t)
	spec := sandbox.Spec{
		ID: fmt.Sprintf("attack%d", os.Getpid()), Name: "attack",
		Image:   &sandbox.Image{Lower: []string{root}, IDBase: 0x30000000},
		Process: sandbox.Process{Args: []string{"/bin/busybox", "sleep", "3600"}},
		Limits:  sandbox.Limits{Memory: 256 << 20, CPUs: 1},
		Stop:    sandbox.StopRule{Grace: time.Millisecond},
		Mounts:  []sandbox.Mount{{Source: o.Shared, Target: "/shared", ReadOnly: true}},
	}
	app, err := host.Start(t.Context(), spec, brokerBeside{t: t})
	must(t, err)
	t.Cleanup(func() { must(t, app.Stop(context.Background())) })
	p, err := app.Posture(t.Context())
	must(t, errors.Join(err, p.Missing()))
	for _, probe := range attack.Probes {
		in, own := sandbox.Host(inside{host, app}), spec
		if ownMachine(probe) {
			if !longtest.Wanted() { // a boot for each
				continue
			}
			in, own.ID = host, fmt.Sprintf("%s%s", spec.ID, strings.ReplaceAll(probe.Name, "-", ""))
			if probe.Own {
				own.Mounts = append(slices.Clone(spec.Mounts), sandbox.Mount{Source: o.Own, Target: "/own"})
			}
		}
		t.Run(fmt.Sprintf("%02d %s", probe.Row, probe.Name), func(t *testing.T) {
			report, err := attack.Run(t.Context(), in, own, nil, probe, o.targets())
			must(t, err)
			if err := probe.OnGuestKernel().Judge(report); err != nil {
				t.Error(err)
			}
			o.unchanged(t)
		})
	}
}

func vmHost(t *testing.T) *vmhost.Host {
	t.Helper()
	guest := vmtest.Guest(t, runtime.GOARCH)
	self, err := os.Executable()
	must(t, err)
	host := vmhost.NewHost(vmhost.HostConfig{
		Driver: qemu.New(qemu.Config{Self: self, StateDir: t.TempDir(), Accel: "tcg"}), Kernel: filepath.Join(guest, "kernel"), Init: filepath.Join(guest, "initramfs"),
	})
	if err := host.Check(t.Context()); err != nil {
		t.Skipf("the machine lacks a part: %v", err)
	}
	t.Cleanup(func() { must(t, host.Close()) })
	return host
}
