package linuxhost

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFreezerOfEveryTree holds a real process in each kind of cgroup that this
// machine has.
func TestFreezerOfEveryTree(t *testing.T) {
	trees, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, tree := range trees {
		g := &cgroup{trees: []hierarchy{tree}, path: fmt.Sprintf("consentry-freezer-%d", os.Getpid())}
		dir := tree.at(g.path)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		f, err := g.freezer()
		if err != nil {
			os.Remove(dir)
			continue
		}
		tried++
		t.Run(strings.Trim(strings.ReplaceAll(tree.mount, "/", "-"), "-"), func(t *testing.T) {
			defer func() {
				if err := g.remove(); err != nil {
					t.Error(err)
				}
			}()
			sleeper := exec.Command("sleep", "600")
			if err := sleeper.Start(); err != nil {
				t.Fatal(err)
			}
			defer sleeper.Wait()
			defer sleeper.Process.Kill()
			if err := writeFile(filepath.Join(dir, "cgroup.procs"), fmt.Sprint(sleeper.Process.Pid)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := f.freeze(ctx); err != nil {
				t.Fatal(err)
			}
			if frozen, err := f.frozen(); !frozen || err != nil {
				t.Errorf("frozen: %v, %v", frozen, err)
			}
			if err := g.thaw(); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				if frozen, err := f.frozen(); !frozen && err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatal("does not thaw")
				}
			}
		})
	}
	if tried == 0 {
		t.Fatal("no cgroup of this machine can be frozen")
	}
}

func TestExitingIsTold(t *testing.T) {
	if exiting(os.Getpid()) {
		t.Error("this process is about to end")
	}
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	for end := time.Now().Add(10 * time.Second); !exiting(child.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a zombie is said to live")
		}
	}
}
