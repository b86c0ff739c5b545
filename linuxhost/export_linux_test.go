package linuxhost

import (
	"path/filepath"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// StateCgroups are the directories above the cgroups of a state directory's
// runs, in every tree.
func StateCgroups(stateDir string) []string {
	trees, err := hierarchies()
	if err != nil {
		return nil
	}
	var dirs []string
	for _, h := range trees {
		dirs = append(dirs, h.at(stateCgroup(stateDir)))
	}
	return dirs
}

// FencePins is where the programs of a state directory are pinned.
func FencePins(stateDir string) string {
	return bpf.PinsOf(filepath.Base(stateCgroup(stateDir)))
}
