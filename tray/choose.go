package tray

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// errNoChooser: this desktop has no dialog that chooses a file.
var errNoChooser = errors.New("no dialog to choose a file is installed")

// chosen runs a dialog that prints the path of a file. One that the user closes
// ends with the code 1 and prints nothing.
func chosen(ctx context.Context, command ...string) (string, error) {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == 1:
		return "", nil
	case err != nil:
		return "", err
	}
	path := strings.TrimSuffix(string(out), "\n")
	if !filepath.IsAbs(path) {
		return "", errors.New("the dialog gave no path")
	}
	return path, nil
}
