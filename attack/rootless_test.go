//go:build linux

package attack_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/attack"
	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/rootless"
)

// Set where these tests run as a user: that they do, and the probe program.
const (
	rootlessEnv = "ATTACK_ROOTLESS"
	probeEnv    = "ATTACK_PROBE"
	fenceEnv    = "ATTACK_FENCES" // the socket of consentry-bpf, where there is one
)

// asUser moves a test program that a user started into the user's namespaces.
func asUser() (code int, handled bool) {
	if os.Getenv(rootlessEnv) == "" {
		return 0, false
	}
	err := linuxhost.Settle()
	if err == nil && rootless.Needed() {
		err, handled = rootless.Run(context.Background(), slog.Default()), true
	}
	if err != nil {
		fmt.Println(err)
		return 1, true
	}
	return 0, handled
}

// hostSuffix tells the hosts of the table apart.
func hostSuffix() string {
	if os.Getenv(rootlessEnv) != "" {
		return " as a user"
	}
	return ""
}

// allRows are the tests that hold the table's rows on a host.
const allRows = "^(TestAttacks|TestMaskRace|TestEventFlood|TestKilledAgent)$"

// TestAttacksAsAUser: the same table, on a host without any right.
func TestAttacksAsAUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become a user")
	}
	if inGuest() {
		socket, _ := asuser.Fences(t, fencesInGuest)
		asuser.RerunInGuest(t, rootlessEnv, allRows, fenceEnv+"="+socket)
		return
	}
	probe := filepath.Join(image(t), attack.ProbePath)
	shared, err := os.MkdirTemp("", "probe") // t.TempDir lies where only root may look
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(shared)) })
	must(t, os.Chmod(shared, 0o755))
	text, err := os.ReadFile(probe)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(shared, "probe"), text, 0o755))
	socket, _ := asuser.Fences(t, asuser.BuildFences(t))
	asuser.Rerun(t, rootlessEnv, asuser.Desktop{}, allRows, "^$", probeEnv+"="+filepath.Join(shared, "probe"), fenceEnv+"="+socket)
}
