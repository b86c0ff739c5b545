//go:build unix

package ipc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// MakeRuntime makes the runtime folder, private to this user, or refuses one
// that belongs to somebody else.
func MakeRuntime(p Paths) error {
	if err := os.MkdirAll(filepath.Dir(p.Runtime), 0o755); err != nil {
		return fmt.Errorf("make the runtime folder: %w", err)
	}
	if err := os.Mkdir(p.Runtime, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the runtime folder: %w", err)
	}
	info, err := os.Lstat(p.Runtime)
	if err != nil {
		return fmt.Errorf("runtime folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("runtime folder %s is not a folder but %s", p.Runtime, info.Mode().Type())
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Getuid() {
		return fmt.Errorf("runtime folder %s belongs to user %d, not to user %d: %w", p.Runtime, owner, os.Getuid(), fs.ErrPermission)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(p.Runtime, 0o700)
	}
	return nil
}

// Listen opens the socket of the local API. The caller holds the lock (Lock),
// so a socket file found there is a dead one. Accept returns only connections
// of this user and of root; others are closed and logged.
func Listen(p Paths, log *slog.Logger) (net.Listener, error) {
	if err := MakeRuntime(p); err != nil {
		return nil, err
	}
	if err := os.Remove(p.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// Between bind and chmod the folder, which is 0700, keeps others out.
	if err := os.Chmod(p.Socket, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the socket to others: %w", err), l.Close())
	}
	return &guarded{UnixListener: l, uid: os.Getuid(), log: log}, nil
}

// guarded lets in only peers that have the right uid.
type guarded struct {
	*net.UnixListener
	uid int
	log *slog.Logger
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn, g.uid); err != nil {
			g.log.Warn("connection refused", "reason", err)
			_ = conn.Close()
			continue
		}
		return conn, nil
	}
}

// Dial connects to the agent and refuses one that another user runs.
func Dial(ctx context.Context, p Paths) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", p.Socket)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(conn.(*net.UnixConn), os.Getuid()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// ErrStranger is wrapped by errors about a peer that runs as another user.
var ErrStranger = errors.New("peer runs as another user")

func checkPeer(conn *net.UnixConn, own int) error {
	uid, err := peerUID(conn)
	if err != nil {
		return fmt.Errorf("credentials of the peer: %w", err)
	}
	if !admits(own, uid) {
		return fmt.Errorf("%w: uid %d, this side is uid %d", ErrStranger, uid, own)
	}
	return nil
}

// admits is the rule: the same user, or root.
func admits(own, peer int) bool { return peer == own || peer == 0 }
