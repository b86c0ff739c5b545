//go:build linux

package linuxhost_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/rootless"
)

// rootlessEnv is set where the tests of this package run as a user.
const rootlessEnv = "LINUXHOST_ROOTLESS"

// rootlessMain moves a test program that a user started into the user's
// namespaces.
func rootlessMain() (code int, handled bool) {
	if os.Getenv(rootlessEnv) == "" {
		return 0, false
	}
	if err := linuxhost.Settle(); err != nil {
		fmt.Println(err)
		return 1, true
	}
	if rootless.Needed() {
		if err := rootless.Run(context.Background(), slog.Default()); err != nil {
			fmt.Println(err)
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// appRoot is what an app's id 0 is to this process.
func appRoot() int {
	if os.Getenv(rootlessEnv) != "" {
		return 0
	}
	return idBase
}

// TestRootless runs what the root agent's tests show, the table of behaviours
// with them, as a user with subordinate ids and a delegated cgroup. Left out is
// what root alone can do or set up.
func TestRootless(t *testing.T) {
	dir, err := os.MkdirTemp("", "swap") // t.TempDir lies where only root may look
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	asuser.Rerun(t, rootlessEnv, asuser.Desktop{}, "^Test", "^(TestShare|TestWithLSM|TestTraceShows.*|TestWithoutCgroups.*|TestPostureIsWhat.*|TestConfinedWorker|"+
		"TestAsPodmanDoes|TestServersOfDebianStart|TestRootless.*|TestAUser.*|TestFolder(ThatIsWritten|TakenBack).*|TestPartsOfAFolder)$",
		swapEnv+"="+buildSwap(t, dir))
}

// TestRootlessPoor: the user of a desktop that gives little.
func TestRootlessPoor(t *testing.T) {
	t.Run("one id", func(t *testing.T) {
		asuser.Rerun(t, rootlessEnv, asuser.Desktop{NoSubIDs: true}, "^TestAUserWithOneID$", "^$")
	})
	t.Run("no cgroup", func(t *testing.T) {
		asuser.Rerun(t, rootlessEnv, asuser.Desktop{NoCgroups: true}, "^TestAUserWithoutCgroups$", "^$")
	})
	t.Run("no tun", func(t *testing.T) {
		asuser.Rerun(t, rootlessEnv, asuser.Desktop{NoTun: true}, "^TestAUserWithoutTun$", "^$")
	})
	t.Run("posture and shares", func(t *testing.T) {
		asuser.Rerun(t, rootlessEnv, asuser.Desktop{}, "^TestAUserHasPostureAndShares$", "^$")
	})
}
