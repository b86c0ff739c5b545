//go:build linux

package story

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/sandbox"
)

// watchPosture reads, for as long as the world lasts, the posture of every app
// that runs: no required wall may be missing, in no story.
func (w *world) watchPosture() {
	w.t.Helper()
	paths, err := ipc.Find(w.home)
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	var missing []string
	watching.Go(func() {
		cl := client.New(paths)
		defer cl.Close()
		for ctx.Err() == nil {
			missing = append(missing, missingWalls(ctx, cl)...)
			select {
			case <-ctx.Done():
			case <-time.After(postureEvery):
			}
		}
	})
	w.t.Cleanup(func() { // runs before the agent is ended
		cancel()
		watching.Wait()
		for _, m := range slices.Compact(missing) {
			w.t.Error(m)
		}
	})
}

const postureEvery = 300 * time.Millisecond

// missingWalls asks once; an app that ends meanwhile, or an agent that a story
// has killed, has no posture.
func missingWalls(ctx context.Context, cl *client.Client) (missing []string) {
	runs, err := cl.Runs(ctx, false)
	if err != nil {
		return nil
	}
	for _, run := range runs {
		detail, err := cl.Inspect(ctx, run.ID)
		if err != nil || detail.Posture == nil {
			continue
		}
		if err := wallsOf(detail); err != nil {
			missing = append(missing, err.Error())
		}
	}
	return missing
}

// wallsOf compares a posture with what every app of its kind must have.
func wallsOf(d api.RunDetail) error {
	if err := d.Posture.Missing(); err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	want := wallsOfModule
	if d.Spec.Image != nil {
		want = wallsOfImage
	}
	for _, name := range want {
		i := slices.IndexFunc(d.Posture.Walls, func(wall sandbox.Wall) bool { return wall.Name == name })
		if i < 0 || !d.Posture.Walls[i].Required || !d.Posture.Walls[i].Stands {
			return fmt.Errorf("%s: posture does not hold %q: %+v", d.Name, name, d.Posture.Walls)
		}
	}
	return nil
}

// Walls that no app of a kind is without.
var (
	wallsOfImage = []string{
		"user namespace", "namespaces", "own root", "no_new_privs", "capabilities", "seccomp", "cgroup limits", "router",
	}
	wallsOfModule = []string{"wasm memory isolation", "no sockets, no other host functions", "mounts", "memory limit"}
)

// posture asserts that an app runs behind its walls, now.
func (w *world) posture(name string) {
	w.t.Helper()
	detail := w.inspect(name)
	if detail.Posture == nil {
		w.t.Fatalf("%s has no posture, it is %s", name, detail.State)
	}
	must(w.t, wallsOf(detail))
}
