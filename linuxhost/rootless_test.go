//go:build linux

package linuxhost_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

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
	if rootless.Needed() {
		if err := rootless.Run(context.Background(), slog.Default()); err != nil {
			fmt.Println(err)
			return 1, true
		}
		return 0, true
	}
	if err := linuxhost.Settle(); err != nil {
		fmt.Println(err)
		return 1, true
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

// asTheUser runs tests of this package once more, as an ordinary user.
func asTheUser(t *testing.T, d asuser.Desktop, run, skip string) {
	t.Helper()
	u := asuser.New(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := u.Command(ctx, u.Self(), "-test.v", "-test.run", run, "-test.skip", skip)
	cmd.Env = append(cmd.Env, rootlessEnv+"=1")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || strings.Contains(text, "--- SKIP") || !strings.Contains(text, "--- PASS") {
		t.Errorf("as a user: %v\n%s", err, text)
	}
	if left := asuser.Processes(); len(left) > 0 {
		t.Errorf("the user's processes that are left: %v", left)
	}
}

// TestRootless runs what the root agent's tests show, the table of behaviours
// with them, as a user with subordinate ids and a delegated cgroup. Left out is
// what root alone can do or set up.
func TestRootless(t *testing.T) {
	asTheUser(t, asuser.Desktop{}, "^Test", "^(TestShare|TestWithLSM|TestTraceShows.*|TestWithoutCgroups.*|TestPostureIsWhat.*|TestConfinedWorker|"+
		"TestAsPodmanDoes|TestServersOfDebianStart|TestRootless.*|TestAUser.*)$")
}

// TestRootlessPoor: the user of a desktop that gives little.
func TestRootlessPoor(t *testing.T) {
	t.Run("one id", func(t *testing.T) { asTheUser(t, asuser.Desktop{NoSubIDs: true}, "^TestAUserWithOneID$", "^$") })
	t.Run("no cgroup", func(t *testing.T) {
		asTheUser(t, asuser.Desktop{NoCgroups: true}, "^TestAUserWithoutCgroups$", "^$")
	})
	t.Run("no tun", func(t *testing.T) { asTheUser(t, asuser.Desktop{NoTun: true}, "^TestAUserWithoutTun$", "^$") })
	t.Run("posture and shares", func(t *testing.T) { asTheUser(t, asuser.Desktop{}, "^TestAUserHasPostureAndShares$", "^$") })
}
