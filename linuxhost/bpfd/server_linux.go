package bpfd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

// Bounds of callers.
const (
	maxConns    = 1024
	maxConnsUID = 256             // starts at once, each with its own look at the fence
	greetTime   = 2 * time.Second // for the first request
	sendTime    = 5 * time.Second
	lingerPause = 500 * time.Millisecond
)

// Config is what a Server needs.
type Config struct {
	Pins string // directory of the pins, in a BPF file system; it exists
	Log  *slog.Logger
	// Idle ends Serve when nobody was connected for so long; 0 is never.
	Idle time.Duration
}

// Server raises fences for those who connect.
type Server struct {
	config Config
	fences fences

	mu    sync.Mutex
	conns map[uint32]int // by uid
	all   int
	idle  *time.Timer // nil while somebody is connected
	work  sync.WaitGroup
}

// NewServer takes away what is abandoned.
func NewServer(config Config) (*Server, error) {
	s := &Server{config: config, fences: fences{root: config.Pins, turns: map[place]uint64{}}, conns: map[uint32]int{}}
	s.fences.mu.Lock()
	defer s.fences.mu.Unlock()
	stand, err := s.fences.standing()
	if err == nil && len(stand) > 0 {
		config.Log.Info("fences that stand from before", "number", len(stand))
	}
	return s, err
}

// Serve answers until ctx ends or nobody needs it.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.work.Wait()
	defer cancel()
	over := func() { l.SetDeadline(time.Unix(1, 0)) } //nolint:errcheck // it may be closed
	defer context.AfterFunc(ctx, over)()
	if s.config.Idle > 0 {
		s.mu.Lock()
		s.idle = time.AfterFunc(s.config.Idle, over)
		s.mu.Unlock()
	}
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		uid, err := peerOf(conn)
		if err == nil {
			err = s.enter(uid)
		}
		if err != nil {
			s.config.Log.Debug("a caller is turned away", "uid", uid, "err", err)
			conn.Close()
			continue
		}
		s.work.Go(func() {
			defer s.leave(uid)
			s.serve(ctx, conn, uid)
		})
	}
}

// peerOf is the user who connected, as this process's user namespace knows them.
func peerOf(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, peerErr); err != nil {
		return 0, err
	}
	return peer.Uid, nil
}

func (s *Server) enter(uid uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxConns || s.conns[uid] >= maxConnsUID {
		return errors.New("too many connections")
	}
	if s.idle != nil {
		s.idle.Stop()
	}
	s.all++
	s.conns[uid]++
	return nil
}

func (s *Server) leave(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.conns[uid]--; s.conns[uid] == 0 {
		delete(s.conns, uid)
	}
	if s.all == 0 && s.idle != nil {
		s.idle.Reset(s.config.Idle)
	}
}

// serve answers one caller until it hangs up, and sees to the fence it leaves.
func (s *Server) serve(ctx context.Context, conn *net.UnixConn, uid uint32) {
	hung := context.AfterFunc(ctx, func() { conn.Close() })
	defer hung()
	v := &visit{fences: &s.fences, uid: uid}
	err := v.serve(ctx, conn)
	conn.Close()
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		s.config.Log.Debug("a caller", "uid", uid, "err", err)
	}
	if v.claim == nil {
		return
	}
	defer v.claim.close()
	if err := s.linger(ctx, v.claim); err != nil {
		s.config.Log.Error("a fence is left", "place", v.claim.at.String(), "err", err)
	}
}

// linger keeps an abandoned fence until nothing runs below it. When this process
// ends before, the next one finds it by its pins.
func (s *Server) linger(ctx context.Context, c *claim) error {
	tick := time.NewTicker(lingerPause)
	defer tick.Stop()
	for {
		err := s.fences.lower(ctx, c)
		if !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *claim) close() {
	//nolint:errcheck // of descriptors that are only held
	errors.Join(c.maps.Close(), c.dir.Close())
}

// visit is one connection.
type visit struct {
	fences *fences
	uid    uint32
	claim  *claim // nil before a fence was asked for
}

func (v *visit) serve(ctx context.Context, conn *net.UnixConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(greetTime)); err != nil {
		return err
	}
	for {
		raw, files, err := receive(conn, requestLen)
		if err != nil {
			return err
		}
		if len(raw) == 0 { // hung up
			closeAll(files)
			return io.EOF
		}
		verb, err := decodeRequest(raw)
		if err != nil {
			closeAll(files)
			return errors.Join(err, v.answer(conn, answer{status: statusRefused, text: err.Error()}))
		}
		a, given, err := v.act(ctx, verb, files)
		if err != nil {
			a = answer{status: statusRefused, text: strings.TrimPrefix(err.Error(), sandbox.ErrNotSupported.Error()+": ")}
			if errors.Is(err, sandbox.ErrNotSupported) {
				a.status = statusNotSupported
			}
		}
		err = v.answer(conn, a, given...)
		closeAll(given)
		if err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

func (v *visit) answer(conn *net.UnixConn, a answer, files ...*os.File) error {
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	return send(conn, a.encode(), files...)
}

var (
	errFiles = errors.New("the request wants one directory")
	errTwice = errors.New("this connection has its fence")
	errNone  = errors.New("this connection has no fence")
)

// act does what is asked. It takes files over.
func (v *visit) act(ctx context.Context, verb uint16, files []*os.File) (a answer, given []*os.File, err error) {
	a.status = statusDone
	wanted := 0
	if verb == verbFence || verb == verbStatus {
		wanted = 1
	}
	if len(files) != wanted {
		closeAll(files)
		return a, nil, errFiles
	}
	switch verb {
	case verbFence:
		given, err = v.fence(ctx, files[0])
	case verbStatus:
		var have, want int
		have, want, err = v.fences.status(files[0], v.uid)
		a.have, a.want = uint16(have), uint16(want) //nolint:gosec // dozens
		closeAll(files)
	case verbJudge:
		given, err = v.judge(ctx)
	case verbLower:
		err = v.lower(ctx)
	}
	return a, given, err
}

func (v *visit) fence(ctx context.Context, dir *os.File) ([]*os.File, error) {
	if v.claim != nil {
		return nil, errors.Join(errTwice, dir.Close())
	}
	c, err := v.fences.raise(ctx, dir, v.uid)
	if err != nil {
		dir.Close()
		return nil, err
	}
	v.claim = c
	return c.maps.Files()
}

func (v *visit) judge(ctx context.Context) ([]*os.File, error) {
	if v.claim == nil {
		return nil, errNone
	}
	if err := v.fences.judge(ctx, v.claim); err != nil {
		return nil, err
	}
	return v.claim.maps.Files()
}

// lower ends the claim, so that the connection can ask for the fence anew.
func (v *visit) lower(ctx context.Context) error {
	if v.claim == nil {
		return nil
	}
	if err := v.fences.lower(ctx, v.claim); err != nil {
		return err
	}
	v.claim.close()
	v.claim = nil
	return nil
}

var _ bpf.Loader = (*Client)(nil)
