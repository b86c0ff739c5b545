package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/ipc"
)

// The times of starting an agent.
const (
	// startTimeout has room for an agent of before that is still ending.
	startTimeout = ipc.EndTime + 5*time.Second
	pollEvery    = 15 * time.Millisecond
	// lateGrace is how long an agent that ended may be covered by another one,
	// which won the race for the lock.
	lateGrace = time.Second
)

// Starter starts an agent for p in the background. The channel gives its end
// if it ends while somebody waits.
type Starter func(p ipc.Paths) (ended <-chan error, err error)

// Connect returns a client of the agent at p and starts it if nobody answers.
// A nil start never starts one. An agent that was there already is not asked
// for its version: it looks at ours with each call.
func Connect(ctx context.Context, p ipc.Paths, start Starter) (*Client, error) {
	c := New(p)
	err := c.reach(ctx)
	if errors.Is(err, ErrNotRunning) && start != nil {
		_, err = c.startAgent(ctx, start)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// opened is a connection that waits for the first call.
type opened struct {
	net.Conn
	at time.Time
}

// freshness is how long it may wait: an agent hangs up on who says nothing.
const freshness = time.Second

// reach opens the connection of the first call.
func (c *Client) reach(ctx context.Context) error {
	conn, err := ipc.Dial(ctx, c.paths)
	if err != nil {
		return c.transportError(ctx, err)
	}
	c.first.Store(&opened{conn, time.Now()})
	return nil
}

// startAgent starts the agent and waits until it answers. Several callers may
// do so at once: the agents settle by their lock which of them stays.
func (c *Client) startAgent(ctx context.Context, start Starter) (api.Version, error) {
	if err := ipc.MakeRuntime(c.paths); err != nil {
		return api.Version{}, &Advice{Err: err, Text: "set " + ipc.HomeEnv + " to a folder of your own"}
	}
	mark := logSize(c.paths)
	ended, err := start(c.paths)
	if err != nil {
		return api.Version{}, fmt.Errorf("start the agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		version, err := c.Version(ctx)
		if err == nil || !errors.Is(err, ErrNotRunning) && ctx.Err() == nil {
			return version, err
		}
		select {
		case <-ctx.Done():
			return api.Version{}, startFailed(c.paths, mark, fmt.Sprintf("does not answer after %v", startTimeout))
		case reason := <-ended:
			if version, ok := c.waitForOther(ctx); ok {
				return version, nil
			}
			return api.Version{}, startFailed(c.paths, mark, fmt.Sprintf("ended at once (%v)", reason))
		case <-time.After(pollEvery):
		}
	}
}

// waitForOther waits for the agent that won the race for the lock.
func (c *Client) waitForOther(ctx context.Context) (api.Version, bool) {
	for until := time.Now().Add(lateGrace); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(pollEvery) {
		if version, err := c.Version(ctx); err == nil {
			return version, true
		}
	}
	return api.Version{}, false
}

// endOf is how a process that was started ended.
func endOf(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}

func startFailed(p ipc.Paths, mark int64, what string) error {
	text := "the agent " + what
	if tail := logTail(p, mark); tail != "" {
		text += "; its last lines:\n" + tail
	}
	return &Advice{Err: errors.New(text), Text: "its whole log is " + p.Log() + "; consentry agent --foreground shows it live"}
}

func logSize(p ipc.Paths) int64 {
	info, err := os.Stat(p.Log())
	if err != nil {
		return 0
	}
	return info.Size()
}

// The part of the log that an error shows.
const (
	tailBytes = 4 << 10
	tailLines = 8
)

// logTail is the end of what was logged since mark, indented.
func logTail(p ipc.Paths, mark int64) string {
	f, err := os.Open(p.Log())
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(mark, size-tailBytes), io.SeekStart)
	}
	raw, _ := io.ReadAll(io.LimitReader(f, tailBytes))
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return ""
	}
	all := strings.Split(text, "\n")
	return "  " + strings.Join(all[max(0, len(all)-tailLines):], "\n  ")
}
