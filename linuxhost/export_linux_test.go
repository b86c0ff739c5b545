package linuxhost

import "path/filepath"

// StateCgroups are the directories above the cgroups of a state directory's
// runs, in every tree.
func StateCgroups(stateDir string) []string {
	trees, err := hierarchies()
	if err != nil {
		return nil
	}
	var dirs []string
	for _, h := range trees {
		dirs = append(dirs, filepath.Join(h.mount, stateCgroup(stateDir)))
	}
	return dirs
}
