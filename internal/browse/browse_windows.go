package browse

import (
	"context"
	"os/exec"
)

// Open opens a page, or a file that holds one, in the user's browser. It
// is one of ours or has the scheme of a web page, so never an option.
func Open(ctx context.Context, page string) error {
	return exec.CommandContext(ctx, "rundll32.exe", "url.dll,FileProtocolHandler", page).Run()
}
