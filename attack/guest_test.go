//go:build linux

package attack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

// Where the probe program and consentry-bpf lie in a guest.
const (
	probeInGuest  = "/bin/probe"
	fencesInGuest = "/bin/consentry-bpf"
)

// inGuest says whether this is a machine that a test of the host booted.
func inGuest() bool { return os.Getenv("CONSENTRY_VMTEST") != "" }

// TestAttacksBehindLSM tries every attack where LSM programs judge too.
func TestAttacksBehindLSM(t *testing.T) {
	if inGuest() {
		t.Skip("the guest runs TestAttacks")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	files := asuser.GuestTools(t)
	files[probeInGuest], files["/bin/sleep"], files[fencesInGuest] = buildProbe(t), busybox, asuser.BuildFences(t)
	for _, kernel := range vmtest.LSMKernels() {
		for who, pattern := range map[string]string{"root": allRows, "a user": "^TestAttacksAsAUser$"} {
			if who == "a user" && !vmtest.Thorough() {
				continue // TestUserWithLSM shows the wall of users in short
			}
			t.Run(kernel+"/"+who, func(t *testing.T) {
				vmtest.Test(t, "github.com/consentry/consentry/attack", pattern, vmtest.Config{
					Kernel: kernel, Files: files, Disk: 256, Timeout: 9 * time.Minute,
				})
			})
		}
	}
}

// mustStand fails the test in a guest where the LSM programs do not stand: it
// was booted for them.
func mustStand(t *testing.T, host sandbox.Surveyor) {
	t.Helper()
	if !inGuest() {
		return
	}
	for _, w := range host.Survey(t.Context()) {
		if w.Name == "eBPF LSM" && !w.Stands {
			t.Fatalf("LSM programs do not stand: %s", w.Detail)
		}
	}
}

// logDenials says which programs of the kernel refused something since the last
// time: an attack may be stopped before it comes to them.
func logDenials(t *testing.T) {
	t.Helper()
	if !inGuest() || os.Getenv(rootlessEnv) != "" {
		return // other tests' apps too; and a user sees the events of its own apps alone
	}
	pins, err := filepath.Glob(bpf.PinsOf("*"))
	if err != nil || len(pins) != 1 {
		t.Fatalf("pins %v, %v", pins, err)
	}
	ring, err := bpf.OpenRing(pins[0])
	must(t, err)
	defer ring.Close()
	var hooks []string
	for e, err := ring.Next(); err == nil; e, err = ring.Next() {
		if e.Denied {
			hooks = append(hooks, e.Hook.Line()+" "+e.Hook.String())
		}
	}
	slices.Sort(hooks)
	t.Logf("refused in the kernel: %s", strings.Join(slices.Compact(hooks), ", "))
}
