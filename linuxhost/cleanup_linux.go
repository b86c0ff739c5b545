package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// Cleanup removes what an agent that was killed left behind: processes, found
// by their cgroup, and the cgroups. It is called before the first Start, when
// nothing of this state directory may run. Mounts need no cleaning: they live
// in namespaces that end with their processes.
func Cleanup(ctx context.Context, stateDir string, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	above := stateCgroup(stateDir)
	runs, err := leftOver(trees, above)
	if err != nil {
		return err
	}
	var errs error
	for _, run := range runs {
		if ctx.Err() != nil {
			return errors.Join(errs, ctx.Err())
		}
		g := &cgroup{trees: trees, path: filepath.Join(above, run)}
		log.Info("remove what a killed agent left", "run", run, "processes", len(g.processes()))
		errs = errors.Join(errs, g.remove())
	}
	if errs == nil { // what is left inside goes on being judged
		errs = lowerFence(stateDir)
	}
	for _, h := range trees {
		//nolint:errcheck // it may hold runs that could not be removed, or not exist
		os.Remove(h.at(above))
	}
	return errs
}

// leftOver lists the runs that still have a cgroup in any tree.
func leftOver(trees []hierarchy, above string) ([]string, error) {
	var runs []string
	for _, h := range trees {
		entries, err := os.ReadDir(h.at(above))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cleanup: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				runs = append(runs, e.Name())
			}
		}
	}
	slices.Sort(runs)
	return slices.Compact(runs), nil
}
