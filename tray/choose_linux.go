package tray

import (
	"context"
	"os/exec"
)

// choosers are the dialogs of desktops, with the arguments of each.
var choosers = [][]string{
	{"zenity", "--file-selection", "--title=Add an app – Consentry", "--file-filter=Apps (*.wasm, *.tar) | *.wasm *.tar *.tar.gz *.tgz", "--file-filter=All | *"},
	{"kdialog", "--title", "Add an app – Consentry", "--getopenfilename", ".", "*.wasm *.tar *.tar.gz *.tgz"},
}

func choose(ctx context.Context) (string, error) {
	for _, command := range choosers {
		if path, err := exec.LookPath(command[0]); err == nil {
			return chosen(ctx, append([]string{path}, command[1:]...)...)
		}
	}
	return "", errNoChooser
}
