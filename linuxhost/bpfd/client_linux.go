package bpfd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

// Bounds of what a caller waits for: the kernel checks fifty programs, which
// takes seconds in a machine that is emulated.
const (
	loadTime  = 60 * time.Second
	shortTime = 10 * time.Second
)

// ErrAbsent says that no consentry-bpf serves here.
var ErrAbsent = errors.New("no consentry-bpf answers")

// Client has consentry-bpf load the programs of one fence. While it is open the
// fence is in use. It is a bpf.Loader.
type Client struct {
	conn   *net.UnixConn
	cgroup *os.File
}

// Dial asks the process at socket for a fence above cgroup, a directory of the
// cgroup2 tree that belongs to this user.
func Dial(socket, cgroup string) (*Client, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consentry-bpf: %w", err), conn.Close())
	}
	return &Client{conn, dir}, nil
}

// Close hangs up: the fence is lowered when nothing runs there any more.
func (c *Client) Close() error { return errors.Join(c.conn.Close(), c.cgroup.Close()) }

// Cgroup loads the second line.
func (c *Client) Cgroup(ctx context.Context) (*bpf.Maps, error) {
	_, files, err := c.ask(ctx, loadTime, verbFence, c.cgroup)
	if err != nil {
		return nil, err
	}
	return bpf.MapsOf(files)
}

// LSM loads the first line.
func (c *Client) LSM(ctx context.Context, maps *bpf.Maps) error {
	_, files, err := c.ask(ctx, loadTime, verbJudge)
	if err != nil {
		return err
	}
	all, err := bpf.MapsOf(files)
	if err != nil {
		return err
	}
	if !all.LSM() {
		return errors.Join(fmt.Errorf("%w: consentry-bpf gave no maps of LSM programs", sandbox.ErrInvalid), all.Close())
	}
	return maps.TakeLSM(all)
}

// Lower takes the programs away, if nothing runs below the cgroup.
func (c *Client) Lower(ctx context.Context) error {
	_, _, err := c.ask(ctx, shortTime, verbLower)
	return err
}

// Attached counts the programs that stand above the cgroup, of all there are.
func (c *Client) Attached(ctx context.Context) (have, want int, err error) {
	a, files, err := c.ask(ctx, shortTime, verbStatus, c.cgroup)
	closeAll(files)
	return int(a.have), int(a.want), err
}

// ask sends a request and waits for the answer.
func (c *Client) ask(ctx context.Context, most time.Duration, verb uint16, files ...*os.File) (answer, []*os.File, error) {
	deadline := time.Now().Add(most)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return answer{}, nil, fmt.Errorf("consentry-bpf: %w", err)
	}
	if err := send(c.conn, encodeRequest(verb), files...); err != nil {
		return answer{}, nil, fmt.Errorf("consentry-bpf: %w", err)
	}
	raw, got, err := receive(c.conn, answerLen+maxText)
	if err != nil {
		return answer{}, nil, fmt.Errorf("consentry-bpf: %w", err)
	}
	if len(raw) == 0 {
		return answer{}, nil, fmt.Errorf("consentry-bpf: %w", errors.Join(io.ErrUnexpectedEOF, ctx.Err()))
	}
	a, err := decodeAnswer(raw)
	if err == nil {
		err = a.err()
	}
	if err != nil {
		closeAll(got)
		return answer{}, nil, err
	}
	return a, got, nil
}

// err is what an answer says went wrong. A fence that is refused does not stand,
// as one that cannot be raised.
func (a answer) err() error {
	switch a.status {
	case statusDone:
		return nil
	case statusNotSupported:
		return fmt.Errorf("%w: %s", sandbox.ErrNotSupported, a.text)
	}
	return fmt.Errorf("%w: consentry-bpf refuses: %s", sandbox.ErrNotSupported, a.text)
}
