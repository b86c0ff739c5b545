package cli

import (
	"context"
	"os/exec"
)

// browse opens a page in the user's browser. The address is one of ours.
func browse(ctx context.Context, page string) error {
	return exec.CommandContext(ctx, "open", page).Run()
}
