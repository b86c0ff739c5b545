package linuxhost

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestHierarchiesOfMountinfo(t *testing.T) {
	v2 := t.TempDir()
	if err := os.WriteFile(filepath.Join(v2, "cgroup.controllers"), []byte("cpuset cpu io memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		line string
		want []string
		v2   bool
		ok   bool
	}{
		"v1":             {"34 31 0:30 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids", []string{"pids"}, false, true},
		"v1 joined":      {"34 31 0:30 / /c rw - cgroup cgroup rw,cpu,cpuacct", []string{"cpu"}, false, true},
		"v1 of no use":   {"34 31 0:30 / /c rw - cgroup cgroup rw,blkio", nil, false, false},
		"v2":             {"34 31 0:30 / " + v2 + " rw - cgroup2 cgroup2 rw", []string{"pids", "memory", "cpu"}, true, true},
		"part of a tree": {"34 31 0:30 /x /c rw - cgroup cgroup rw,pids", nil, false, false},
		"a disk":         {"27 1 254:0 / / rw - ext4 /dev/vda rw", nil, false, false},
		"nonsense":       {"- -", nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, ok := parseHierarchy(c.line)
			if ok != c.ok || (ok && (h.v2 != c.v2 || !slices.Equal(h.controllers, c.want))) {
				t.Fatalf("got %+v, %v", h, ok)
			}
		})
	}
}

// TestLimitsOfVersion2 runs on plain files: a v2 tree with controllers is not
// on every machine.
func TestLimitsOfVersion2(t *testing.T) {
	mount := t.TempDir()
	g := &cgroup{trees: []hierarchy{{mount: mount, controllers: []string{"pids", "memory", "cpu"}, v2: true}}, path: "run"}
	dir := filepath.Join(mount, "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pids.max", "memory.max", "memory.swap.max", "cpu.max", "memory.events"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limits := sandbox.Limits{Memory: 100 << 20, PIDs: 50, CPUs: 0.5}
	if err := g.limit(limits); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pids.max": "66", "memory.max": "130023424", "memory.swap.max": "0", "cpu.max": "50000 100000"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if detail, stands := g.standing(limits); !stands {
		t.Errorf("does not stand: %s", detail)
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte("max\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if detail, stands := g.standing(limits); stands {
		t.Errorf("a limit that was taken away stands: %s", detail)
	}
	for text, want := range map[string]bool{"oom 1\noom_kill 0\n": false, "oom 1\noom_kill 2\n": true} {
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if g.oomKilled() != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

func TestNoLimitIsNoAnswer(t *testing.T) {
	l := withDefaults(sandbox.Limits{})
	if l.Memory <= 0 || l.PIDs <= 0 || l.CPUs <= 0 {
		t.Fatalf("got %+v", l)
	}
}
