package linuxhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/ownids"
)

// agentLeaf is the cgroup that an agent makes itself and its launchers: in the
// v2 tree a cgroup that passes controllers on holds no processes of its own.
const agentLeaf = "consentry-agent"

// delegatedOnly says whether this process may divide only what was given to it.
func delegatedOnly() bool {
	here, err := ownids.Here()
	return err != nil || !here.Whole() || os.Geteuid() != 0
}

// delegated leaves the trees in which the cgroup of this process is its own to
// divide, as systemd's Delegate=yes makes it.
func delegated(all []hierarchy) ([]hierarchy, error) {
	in, err := cgroupsOf("self")
	if err != nil {
		return nil, err
	}
	var ours []hierarchy
	for _, h := range all {
		h.home = in.of(h)
		settled := filepath.Base(h.home) == agentLeaf
		if settled {
			h.home = filepath.Dir(h.home)
		}
		if in.of(h) == "" || !h.divisible() || h.v2 && !settled && h.inhabited() {
			continue
		}
		if h.v2 {
			if h.controllers, err = h.reaching(); err != nil {
				continue
			}
		}
		ours = append(ours, h)
	}
	return ours, nil
}

// divisible: cgroups can be made in home and processes moved out of it. A v2
// tree whose controllers do not reach us limits nothing, but still freezes.
func (h hierarchy) divisible() bool {
	return unix.Access(h.at(""), unix.W_OK) == nil && unix.Access(filepath.Join(h.at(""), "cgroup.procs"), unix.W_OK) == nil
}

// inhabited: programs that are not ours live in home too, a terminal's say; it
// cannot pass controllers on then.
func (h hierarchy) inhabited() bool {
	return slices.ContainsFunc(processesIn(h.at("")), func(pid int) bool { return pid != os.Getpid() })
}

// Delegated says whether this process may limit apps by cgroups.
func Delegated() bool {
	trees, err := hierarchies()
	return err == nil && len(missingControllers(trees)) == 0
}

// Settle moves this process into a cgroup of its own below the delegated one,
// so that apps can have others beside it. Without a delegation it does nothing.
func Settle() error {
	if !delegatedOnly() {
		return nil
	}
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range trees {
		leaf := h.at(agentLeaf)
		if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup of the agent: %w", err)
		}
		if err := writeFile(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(os.Getpid())); err != nil {
			return fmt.Errorf("cgroup of the agent: %w", err)
		}
	}
	return nil
}
