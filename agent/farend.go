package agent

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/consentry/consentry/sandbox"
)

// farEnd sorts a failed dial, so that an app sees what it would see without us.
// Of several addresses a refusal says most: somebody is there.
func farEnd(err error) error {
	var timed net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return sandbox.ErrRefused
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timed) && timed.Timeout():
		return sandbox.ErrTimeout
	}
	return sandbox.ErrUnreachable
}
