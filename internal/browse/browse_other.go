//go:build !linux && !darwin && !windows

package browse

import (
	"context"
	"errors"
)

// Open is not known here.
func Open(context.Context, string) error {
	return errors.New("no way to do so is known on this system")
}
