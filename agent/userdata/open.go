//go:build linux || darwin || windows

package userdata

import (
	"context"

	"github.com/consentry/consentry/internal/browse"
)

// Open hands the address, a web page's, to the user's browser.
func (system) Open(ctx context.Context, address string) error { return browse.Open(ctx, address) }
