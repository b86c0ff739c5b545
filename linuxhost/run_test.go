//go:build linux

package linuxhost_test

import (
	"testing"
)

func testRole(string, []string) (int, bool) { return 0, false }

func TestExitCodes(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"success":        {[]string{"true"}, 0},
		"its own code":   {sh("exit 42"), 42},
		"killed":         {sh("kill -9 $$"), 137},
		"terminated":     {sh("kill -15 $$"), 143},
		"not found":      {[]string{"/bin/nothing"}, 127},
		"not in PATH":    {[]string{"nothing"}, 127},
		"not executable": {[]string{"/etc/noexec"}, 126},
		"a directory":    {[]string{"/etc"}, 126},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			if got := b.run(b.spec(c.args...)); got.exit.Code != c.want {
				t.Fatalf("exit %+v, want %d; stderr %q", got.exit, c.want, got.err)
			}
		})
	}
	b.t = t
}
