package asuser

import (
	"context"
	"strings"
	"testing"
	"time"
)

const rerunTime = 8 * time.Minute

// Rerun runs tests of this program once more, as a user: with env set, by which
// its TestMain knows. All of them must pass, none may skip, and none may leave a
// process. More variables are NAME=VALUE.
func Rerun(t *testing.T, env string, d Desktop, run, skip string, more ...string) {
	t.Helper()
	u := New(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), rerunTime)
	defer cancel()
	cmd := u.Command(ctx, u.Program(), "-test.v", "-test.run", run, "-test.skip", skip)
	cmd.Env = append(append(cmd.Env, env+"=1"), more...)
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || strings.Contains(text, "--- SKIP") || !strings.Contains(text, "--- PASS") {
		t.Errorf("as a user: %v\n%s", err, text)
	}
	if left := u.Processes(); len(left) > 0 {
		t.Errorf("processes that are left: %v", left)
	}
}
