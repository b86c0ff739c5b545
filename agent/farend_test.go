package agent

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestFarEnd(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)} }
	for _, c := range []struct{ err, want error }{
		{dial(syscall.ECONNREFUSED), sandbox.ErrRefused},
		{errors.Join(dial(syscall.ENETUNREACH), dial(syscall.ECONNREFUSED)), sandbox.ErrRefused},
		{dial(syscall.ETIMEDOUT), sandbox.ErrTimeout},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, sandbox.ErrTimeout},
		{dial(syscall.EHOSTUNREACH), sandbox.ErrUnreachable},
		{errors.New("anything else"), sandbox.ErrUnreachable},
	} {
		if got := farEnd(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
}
