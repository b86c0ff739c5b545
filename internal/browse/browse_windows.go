package browse

import (
	"context"
	"os/exec"
)

// Open opens a page, or a file that holds one, in the user's browser. The
// address is one of ours.
func Open(ctx context.Context, page string) error {
	return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", page).Run()
}
