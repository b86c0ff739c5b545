//go:build !unix && !windows

package ipc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/consentry/consentry/sandbox"
)

// ErrStranger is wrapped by errors about a peer that runs as another user.
var ErrStranger = errors.New("peer runs as another user")

var errNoPipe = fmt.Errorf("the local API needs a unix socket with peer credentials, which this system lacks: %w", sandbox.ErrNotSupported)

// MakeRuntime makes the runtime folder.
func MakeRuntime(p Paths) error { return os.MkdirAll(p.Runtime, 0o700) }

// Listen has nothing to listen on here.
func Listen(Paths, *slog.Logger) (net.Listener, error) { return nil, errNoPipe }

// Dial has nothing to connect to here.
func Dial(context.Context, Paths) (net.Conn, error) { return nil, errNoPipe }
