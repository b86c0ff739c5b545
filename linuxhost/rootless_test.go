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

// asTheUser runs tests of this package once more, as an ordinary user.
func asTheUser(t *testing.T, d asuser.Desktop, tests ...string) string {
	t.Helper()
	if os.Getenv(rootlessEnv) != "" {
		t.Skip("runs already as a user")
	}
	u := asuser.New(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := u.Command(ctx, u.Self(), "-test.v", "-test.run", "^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(cmd.Env, rootlessEnv+"=1")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || strings.Contains(text, "--- SKIP") || !strings.Contains(text, "--- PASS") {
		t.Fatalf("as a user: %v\n%s", err, text)
	}
	return text
}

func TestRootless(t *testing.T) {
	asTheUser(t, asuser.Desktop{}, "TestWhatImagesRelyOn", "TestExitCodes")
}
