package ipc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// ErrStranger is wrapped by errors about a peer that runs as another user.
var ErrStranger = errors.New("peer runs as another user")

// MakeRuntime makes the runtime folder. It lies in the user's own data, whose
// access list it inherits.
func MakeRuntime(p Paths) error {
	if err := os.MkdirAll(p.Runtime, 0o700); err != nil {
		return fmt.Errorf("make the runtime folder: %w", err)
	}
	return nil
}

// pipeName is the pipe of the agent with these paths: pipes have a name space of
// their own, in which a path does not fit.
func pipeName(p Paths) string {
	sum := sha256.Sum256([]byte(strings.ToLower(p.Socket)))
	return `\\.\pipe\consentry-` + hex.EncodeToString(sum[:16])
}

// Listen opens the pipe of the local API. Its access list lets in this user and
// nobody else, and nobody over the network; the first to make a pipe of a name
// is the only one, so that a squatter makes Listen fail.
func Listen(p Paths, _ *slog.Logger) (net.Listener, error) {
	if err := MakeRuntime(p); err != nil {
		return nil, err
	}
	user, err := ownSID()
	if err != nil {
		return nil, err
	}
	access := fmt.Sprintf("O:%[1]sD:P(D;;GA;;;NU)(A;;GA;;;%[1]s)", user)
	l, err := winio.ListenPipe(pipeName(p), &winio.PipeConfig{SecurityDescriptor: access})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Dial connects to the agent and refuses one that another user runs.
func Dial(ctx context.Context, p Paths) (net.Conn, error) {
	conn, err := winio.DialPipeContext(ctx, pipeName(p))
	if err != nil {
		return nil, err
	}
	if err := checkOwner(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func ownSID() (string, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("find this user: %w", err)
	}
	return user.User.Sid.String(), nil
}

// checkOwner asks the system whose pipe it is: only this user and the system can
// have made one that belongs to this user.
func checkOwner(conn net.Conn) error {
	file, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return fmt.Errorf("owner of the pipe: %w", ErrStranger)
	}
	security, err := windows.GetSecurityInfo(windows.Handle(file.Fd()), windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("owner of the pipe: %w", err)
	}
	owner, _, err := security.Owner()
	if err != nil {
		return fmt.Errorf("owner of the pipe: %w", err)
	}
	user, err := ownSID()
	if err != nil {
		return err
	}
	if owner == nil || owner.String() != user {
		return fmt.Errorf("%w: the pipe belongs to %v, this side is %s", ErrStranger, owner, user)
	}
	return nil
}
